"""`canthus export`: a checkpoint to a bundle."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(
            metavar="CHECKPOINT...",
            help="best.ckpt or last.ckpt of a run, its card.json beside it; several for a system whose stages were "
            "trained apart, in their order.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle to write.")],
    root: Annotated[Path | None, typer.Option(envvar="CANTHUS_DATA", help="Folder of the data sets.")] = None,
    int8: Annotated[bool, typer.Option(help="Add the int8 variant.")] = True,
    margin: Annotated[
        float | None, typer.Option(help="Side of the crop over that of the box; else as trained.")
    ] = None,
    measured: Annotated[Path | None, typer.Option(help="JSON list of measured errors for the card.")] = None,
) -> None:
    """Make a bundle of a checkpoint, and prove that it gives the same points.

    A run of the detector or of the face score needs no data sets, and has no int8 variant and no margin.

    Example: canthus export runs/compact/best.ckpt --root data -o compact.canthus
    """
    import json

    from canthus.errors import DataError, need

    try:
        from canthus.export.detection import EXPORTS, export_faces, kind_of
        from canthus.export.landmarks import export as make
    except ModuleNotFoundError as error:
        raise need("export") from error
    figures = json.loads(measured.read_text()) if measured else []
    if checkpoints[0].is_file() and kind_of(checkpoints[0]) in EXPORTS:
        card = export_faces(checkpoints[0], out, figures)
        key, unit = "parity", ""
    else:
        if root is None:
            raise DataError("where are the data sets? Give their folder with --root or in CANTHUS_DATA")
        card = make(checkpoints, root, out, int8=int8, margin=margin, measured=figures)
        key, unit = "parity_px", "px "
    gap = next(iter(card.checkpoints.values())).training[key]
    print(f"{out}: {card.name}, {out.stat().st_size / 2**20:.2f} MB, at most {gap} {unit}from torch")
