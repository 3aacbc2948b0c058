"""`canthus synth import`: a face model file from ICT-FaceKit."""

from pathlib import Path
from typing import Annotated

import typer


def import_model(
    folder: Annotated[Path, typer.Argument(help="Folder FaceXModel of ICT-FaceKit.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Face model to write (.npz).")],
) -> None:
    """Make a face model file from ICT-FaceKit as its owners distribute it.

    Example: canthus synth import ICT-FaceKit/FaceXModel -o face.npz

    Writes landmarks.json, the landmark vertices, beside the model if there is none.

    Exit codes: 0 done; 2 wrong usage; 3 nothing done.
    """
    from canthus.face3d.ict import import_ict

    if out.suffix != ".npz":
        raise typer.BadParameter("a face model is an .npz file", param_hint="--out")
    counts = import_ict(folder, out)
    print(f"{out}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
