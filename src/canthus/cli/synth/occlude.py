"""`canthus synth occlude`: occluded copies of photographs or of rotated views."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canthus.cli.synth.screen import Workers, run_factory

if TYPE_CHECKING:
    from canthus.synth.factory import Order


def occlude(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: SET/SPLIT for the reader `views:SET`.")],
    fits: Annotated[Path | None, typer.Option(help="Table of canthus synth fit.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder of the set that was fitted.")] = None,
    views: Annotated[
        Path | None, typer.Option(help="Run of canthus synth profile, instead of --fits and --pictures.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of copies to make.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed that chooses the occluders.")] = 0,
    size: Annotated[
        int | None, typer.Option(min=32, help="Side of a copy, pixels.", show_default="256, or that of the views")
    ] = None,
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
