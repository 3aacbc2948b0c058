"""`canthus synth schemes`: every scheme's points drawn on pictures."""

from pathlib import Path
from typing import Annotated

import typer


def schemes(
    faces: Annotated[Path, typer.Argument(help="Table of synth fit, or folder of a run of synth profile.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The sheet to write, .png.")],
    pictures: Annotated[Path | None, typer.Option(help="Folder of the set of a table.")] = None,
    names: Annotated[str | None, typer.Option("--schemes", help="As 68,84,39_left.", show_default="all")] = None,
    azimuths: Annotated[str, typer.Option(help="Degrees, one column each.")] = "0,40,80",
) -> None:
    """Draw the points of every scheme on faces seen from the front and from the side, to judge them by eye.

    Example: canthus synth schemes data/views/train -o schemes.png --schemes 68,84,39_left

    Exit codes: 0 done; 1 an azimuth has no picture; 2 wrong usage; 3 nothing done.
    """
    import cv2

    from canthus.errors import OutputError
    from canthus.schemes.scheme import SCHEMES
    from canthus.synth.gallery import gallery
    from canthus.synth.labelled import open_labelled
    from canthus.work.files import replace_whole

    if out.suffix != ".png":
        raise typer.BadParameter("a sheet is a .png file", param_hint="--out")
    try:
        columns = [abs(float(text)) for text in azimuths.split(",")]
    except ValueError as error:
        raise typer.BadParameter("azimuths are numbers with commas between", param_hint="--azimuths") from error
    labelled = open_labelled(faces)
    rows = (
        names.split(",") if names else [*labelled.schemes, *(name for name in SCHEMES if name not in labelled.schemes)]
    )
    sheet, notes = gallery(labelled, rows, columns, pictures)
    good, data = cv2.imencode(".png", sheet[..., ::-1])
    if not good:
        raise OutputError(f"{out}: OpenCV cannot write this picture")
    with replace_whole(out) as part:
        part.write_bytes(data.tobytes())
    print(f"{out}: {len(rows)} schemes, {len(columns)} azimuths; green = seen, red = hidden")
    empty = [note for note in notes if note.endswith("no picture")]
    if empty:
        print("\n".join(empty))
        raise typer.Exit(1)
