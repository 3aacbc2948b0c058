"""`canthus synth pairs`: the same faces in two schemes."""

from pathlib import Path
from typing import Annotated

import typer

from canthus.cli.synth.screen import Landmarks, MaybeFaceModel


def pairs(
    faces: Annotated[list[Path], typer.Argument(help="Tables of synth fit, or folders of runs of synth profile.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Pairs to write (.npz).")],
    source: Annotated[
        str, typer.Option(help="First scheme, e.g. 81; 81:outline = contours on the visible outline, as in 2D labels.")
    ] = "81",
    target: Annotated[str, typer.Option(help="Second scheme, in the same form.")] = "68",
    min_azimuth: Annotated[float, typer.Option(min=0, max=90, help="Minimum azimuth of a face, degrees.")] = 0.0,
    face_model: MaybeFaceModel = None,
    landmarks: Landmarks = None,
) -> None:
    """Make pairs of points in two schemes, to fit and to measure a transfer between them.

    Example: canthus synth pairs wild68-train.npz ytf68-train.npz --source 81 --target 68 -o 81-68-train.npz

    Of 39-point schemes only faces are used that show their half of the face. Outlines of tables need --face-model.

    Exit codes: 0 done; 2 wrong usage; 3 nothing done.
    """
    from canthus.face3d.morphable import MorphableModel
    from canthus.synth.faces import open_labelled
    from canthus.synth.pairs import Side, join, make_pairs, write_pairs

    if out.suffix != ".npz":
        raise typer.BadParameter("pairs are an .npz file", param_hint="--out")
    sides = Side.parse(source), Side.parse(target)
    head = None if face_model is None else MorphableModel.open(face_model, landmarks)
    parts = [make_pairs(open_labelled(path), *sides, min_azimuth, head) for path in faces]
    made = join(parts)
    write_pairs(out, made)
    counts = " + ".join(str(len(part)) for part in parts)
    people = len(set(made.identities.tolist()))
    print(f"{out}: {len(made)} faces ({counts}) of {people} identities, {sides[0]} to {sides[1]}")
