"""What the verbs of `canthus synth` share: options, a progress bar, and the report of a run."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from canthus.synth.factory import Order

FaceModel = Annotated[Path, typer.Option("--face-model", help="3D face model (.npz).")]
Landmarks = Annotated[
    Path | None,
    typer.Option(help="Landmark vertices of the face model (.json).", show_default="landmarks.json beside the model"),
]
Workers = Annotated[int, typer.Option(min=1, help="Number of processes; the result does not depend on it.")]
Root = Annotated[Path | None, typer.Option(envvar="CANTHUS_DATA", help="Folder of the data sets.")]


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
