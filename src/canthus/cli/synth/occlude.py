"""`canthus synth occlude`: occluded copies of photographs or of rotated views."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canthus.cli.options import Workers
from canthus.cli.synth.screen import COUNT, FITS, PICTURES, SIZE, Seed, run_factory

if TYPE_CHECKING:
    from canthus.synth.factory import Order


def occlude(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: SET/SPLIT for the reader `views:SET`.")],
    fits: Annotated[Path | None, typer.Option(help=FITS)] = None,
    pictures: Annotated[Path | None, typer.Option(help=PICTURES)] = None,
    views: Annotated[
        Path | None, typer.Option(help="Run of canthus synth profile, instead of --fits and --pictures.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help=COUNT)] = 10_000,
    seed: Seed = 0,
    size: Annotated[int | None, typer.Option(min=32, help=SIZE, show_default="256, or that of the views")] = None,
    workers: Workers = 1,
) -> None:
    """Make occluded copies of photographs, or of rotated views, with flags for the hidden landmarks.

    Example: canthus synth occlude --fits wild68-train.npz --pictures data/wild68 -o data/occluded/train

    Run the same command again to resume.

    Exit codes: 0 all made; 1 some could not be made; 2 wrong usage; 3 nothing done.
    """
    from canthus.synth.occlusion.covered import Copies, CoveredViews

    order: Order
    if views is not None:
        if fits or pictures or size:
            raise typer.BadParameter("--views has its own pictures and size; omit --fits, --pictures and --size")
        order = CoveredViews(views, count, seed)
    elif fits is None or pictures is None:
        raise typer.BadParameter("give what to copy: --fits and --pictures, or --views")
    else:
        order = Copies(fits, pictures, count, seed, size or 256)
    run_factory(order, out, workers)
