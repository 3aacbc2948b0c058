"""`canthus synth pairs`: the same faces in two schemes."""

from pathlib import Path
from typing import Annotated

import typer


def pairs(
    faces: Annotated[list[Path], typer.Argument(help="Tables of synth fit, or folders of runs of synth profile.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The pairs to write, .npz.")],
    source: Annotated[str, typer.Option(help="Scheme, or SCHEME:outline for contours as in 2D labels.")] = "81",
    target: Annotated[str, typer.Option(help="Scheme, or SCHEME:outline for contours as in 2D labels.")] = "68",
    turned: Annotated[float, typer.Option(min=0, max=90, help="Least azimuth, degrees.")] = 0.0,
    model: Annotated[Path | None, typer.Option(help="Face model, .npz, for outlines of tables.")] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="Landmark vertices.", show_default="landmarks.json beside the model")
    ] = None,
) -> None:
    """Make pairs of points in two schemes, to fit and to measure a transfer between them.

    39-point schemes take part where their half of the face is seen.

    Example: canthus synth pairs wild68-train.npz ytf68-train.npz --source 81 --target 68 -o 81-68-train.npz

    Exit codes: 0 done; 2 wrong usage; 3 nothing done.
    """
    from canthus.face3d.morphable import MorphableModel
    from canthus.synth.labelled import open_labelled
    from canthus.synth.pairs import Side, join, make_pairs, write_pairs

    if out.suffix != ".npz":
        raise typer.BadParameter("pairs are an .npz file", param_hint="--out")
    sides = Side.parse(source), Side.parse(target)
    head = None if model is None else MorphableModel.open(model, landmarks)
    parts = [make_pairs(open_labelled(path), *sides, turned, head) for path in faces]
    made = join(parts)
    write_pairs(out, made)
    counts = " + ".join(str(len(part)) for part in parts)
    people = len(set(made.identities.tolist()))
    print(f"{out}: {len(made)} faces ({counts}) of {people} identities, {sides[0]} to {sides[1]}")
