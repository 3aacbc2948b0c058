"""`canthus ablate`: what each part of a system is worth, as one table."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from canthus.study.plan import Job
    from canthus.study.table import Outcome


def ablate(
    file: Annotated[Path, typer.Argument(help="A YAML file; those of canthus are recipes/ablation_*.yaml.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the study.", show_default="runs/NAME")
    ] = None,
    root: Annotated[Path | None, typer.Option(envvar="CANTHUS_DATA", help="Folder of the data sets.")] = None,
    seeds: Annotated[str | None, typer.Option(help="As 1,2,3; else those of the file.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Runs at once; they share the cores.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Only this row; may be given several times.")] = None,
    override: Annotated[list[str] | None, typer.Option("--set", help="Change a field: --set recipe.steps=100")] = None,
) -> None:
    """Train every row of an ablation with every seed, measure, and print the table.

    Example: canthus ablate recipes/ablation_cascaded_cnn.yaml --root data --workers 2 --out runs/ablation_cascaded_cnn

    Writes table.md, table.json, table.png, and for each row and seed the folder of a run as `canthus train` does.
    What is done is not done again: the same command goes on where it was stopped.

    Exit codes: 0 all done; 1 some runs failed; 2 wrong usage; 3 nothing done.
    """
    from rich.console import Console

    from canthus.errors import DataError, need
    from canthus.evaluate.report.figure import check_matplotlib
    from canthus.study.plan import jobs_of, load_ablation

    ablation = load_ablation(file, [*(override or []), *([] if seeds is None else [f"seeds=[{seeds}]"])])
    if root is None:
        raise DataError("where are the data sets? Give their folder with --root or in CANTHUS_DATA")
    try:
        import lightning  # noqa: F401
    except ModuleNotFoundError as error:
        raise need("train") from error
    check_matplotlib()
    from canthus.study.table import gather, write_outcome

    folder = out or Path("runs") / ablation.name
    failures = _run(jobs_of(ablation, folder, only or []), root, workers)
    outcome = gather(ablation, folder, shlex.join(["canthus", *sys.argv[1:]]))
    write_outcome(outcome, folder)
    screen = Console()
    _show(outcome, screen if screen.is_terminal else Console(width=140))
    print(f"tables: {folder / 'table.md'}, {folder / 'table.json'}; picture: {folder / 'table.png'}")
    for place, reason in failures.items():
        print(f"canthus: {place} failed: {reason}", file=sys.stderr)
    if failures:
        raise typer.Exit(1)


def _run(jobs: "list[Job]", root: Path, workers: int) -> dict[Path, str]:
    """All runs, under one progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from canthus.study.run import run_all, steps_left

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"steps of {len(jobs)} runs", total=sum(map(steps_left, jobs)))
        return run_all(jobs, root, workers, lambda count: bar.advance(task, count))


def _show(outcome: "Outcome", console: "Console") -> None:
    from rich.markup import escape
    from rich.table import Table

    from canthus.study.table import HEAD, lines_of, title_of

    for measure in outcome.ablation.measures:
        console.print(title_of(outcome, measure), style="bold", highlight=False, markup=False)
        grid = Table(*HEAD, box=None, padding=(0, 2, 0, 0))
        for line in lines_of(outcome, measure):
            grid.add_row(*map(escape, line))
        console.print(grid)
        console.print()
