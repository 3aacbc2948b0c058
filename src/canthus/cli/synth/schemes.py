"""`canthus synth schemes`: the points of every scheme drawn on pictures."""

from pathlib import Path
from typing import Annotated

import typer

from canthus.cli.synth.screen import PICTURES


def schemes(
    faces: Annotated[Path, typer.Argument(help="Table of synth fit, or folder of a run of synth profile.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Sheet to write (.png).")],
    pictures: Annotated[Path | None, typer.Option(help=PICTURES)] = None,
    names: Annotated[
        str | None, typer.Option("--schemes", help="Schemes, one row each, e.g. 68,84,39_left.", show_default="all")
    ] = None,
    azimuths: Annotated[str, typer.Option(help="Azimuths, one column each, degrees.")] = "0,40,80",
) -> None:
    """Draw the points of every scheme on faces seen from the front and from the side, to check them by eye.

    Example: canthus synth schemes data/views/train -o schemes.png --schemes 68,84,39_left

    Exit codes: 0 done; 1 an azimuth has no picture; 2 wrong usage; 3 nothing done.
    """
    from canthus.schemes.scheme import SCHEMES
    from canthus.synth.faces import open_labelled
    from canthus.synth.gallery import gallery
    from canthus.synth.sheet import save

    if out.suffix != ".png":
        raise typer.BadParameter("a sheet is a .png file", param_hint="--out")
    try:
        columns = [abs(float(text)) for text in azimuths.split(",")]
    except ValueError as error:
        raise typer.BadParameter("azimuths are numbers separated by commas", param_hint="--azimuths") from error
    labelled = open_labelled(faces, pictures)
    known = (*labelled.schemes, *(name for name in SCHEMES if name not in labelled.schemes))
    rows = names.split(",") if names else known
    sheet, notes = gallery(labelled, rows, columns)
    save(out, sheet)
    print(f"{out}: {len(rows)} schemes, {len(columns)} azimuths; green = visible, red = hidden")
    empty = [note for note in notes if note.endswith("no picture")]
    if empty:
        print("\n".join(empty))
        raise typer.Exit(1)
