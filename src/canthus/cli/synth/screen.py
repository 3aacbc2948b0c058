"""What the verbs of `canthus synth` share: options, a progress bar, and the report of a run."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from canthus.synth.factory import Order

FACE_MODEL = "3D face model (.npz), made by canthus synth import."
FITS = "Table of fits (.npz), made by canthus synth fit."
PICTURES = "Folder of the pictures of the set that was fitted."
COUNT = "Number of pictures to make."
SIZE = "Side of a picture, pixels."

FaceModel = Annotated[Path, typer.Option("--face-model", help=FACE_MODEL)]
MaybeFaceModel = Annotated[Path | None, typer.Option("--face-model", help=FACE_MODEL)]
Landmarks = Annotated[
    Path | None,
    typer.Option(help="Landmark vertices of the face model (.json).", show_default="landmarks.json beside the model"),
]
Split = Annotated[str, typer.Option(help="Split or subset of the data set.")]
LabelNoise = Annotated[
    float,
    typer.Option(
        min=1e-4, max=1, help="Standard deviation of a label that fits assume, as a share of the inter-ocular distance."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random choices.")]


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error; the function given advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


def tell(lines: Iterable[str]) -> None:
    """Print lines to standard error as they are."""
    from rich.console import Console

    console = Console(stderr=True)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def run_factory(order: "Order", out: Path, workers: int) -> None:
    """Run the factory with a progress bar, and report what was made; exit code 1 where pictures are missing."""
    from time import monotonic

    from canthus.synth.factory import produce
    from canthus.work.folder import megabytes

    start = monotonic()
    with progress(order.count) as tick:
        made = produce(order, out, workers, tick)
    size, seconds = megabytes(out), monotonic() - start
    tell(
        [
            f"{out}: {made.made} of {made.wanted} pictures, {size:.0f} MB, {seconds:.0f} s; look at sheet.png",
            f"in every ten degrees of azimuth from -90 to 90: {' '.join(map(str, made.azimuths))}",
            f"refused {made.rejected_share:.1%} of those tried" + ":" * bool(made.rejected),
            *(f"  {count} {reason}" for reason, count in made.rejected.items()),
        ]
    )
    if made.made < made.wanted:
        raise typer.Exit(1)
