"""`canthus ablate`: the table of what each part of a system is worth."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canthus.cli.options import NO_ROOT, Override, Root, Workers

if TYPE_CHECKING:
    from rich.console import Console

    from canthus.study.outcome import Outcome
    from canthus.study.plan import Trial


def ablate(
    plan: Annotated[
        str, typer.Argument(help="Plan of the ablation: a YAML file, or the name of a plan that canthus recipes lists.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the study.", show_default="runs/NAME")
    ] = None,
    root: Root = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, e.g. 1,2,3.", show_default="those of the plan")] = None,
    workers: Workers = 1,
    only: Annotated[list[str] | None, typer.Option(help="Run only this row; may be repeated.")] = None,
    override: Override = None,
) -> None:
    """Train every row of an ablation with every seed, measure all runs, and print the table.

    Example: canthus ablate ablation_cascaded_cnn --root data --workers 2

    The example needs the sets wild68 and ytf68 as folders in `data`, and takes about half an hour on two cores.
    With --workers 2 two runs are trained at once; they share the cores.
    Writes table.md, table.json and table.png, and for each row and seed the folder of a run as `canthus train` does.
    Finished runs are skipped; run the same command again to resume.

    Exit codes: 0 all done; 1 some runs failed; 2 wrong usage; 3 nothing done.
    """
    from rich.console import Console

    from canthus.errors import DataError, need
    from canthus.evaluate.report.figure import check_matplotlib
    from canthus.recipes import find
    from canthus.study.plan import load_ablation, trials_of

    ablation = load_ablation(find(plan), [*(override or []), *([] if seeds is None else [f"seeds=[{seeds}]"])])
    if root is None:
        raise DataError(NO_ROOT)
    try:
        import lightning  # noqa: F401
    except ModuleNotFoundError as error:
        raise need("train") from error
    check_matplotlib()
    from canthus.study.outcome import gather
    from canthus.study.table import write_outcome
    from canthus.train.run_card import commit

    folder = out or Path("runs") / ablation.name
    failures = _run(trials_of(ablation, folder, only or []), root, workers)
    outcome = gather(ablation, folder, shlex.join(["canthus", *sys.argv[1:]]), commit())
    write_outcome(outcome, folder)
    screen = Console()
    _show(outcome, screen if screen.is_terminal else Console(width=140))
    print(f"tables: {folder / 'table.md'}, {folder / 'table.json'}; picture: {folder / 'table.png'}")
    for run, reason in failures.items():
        print(f"canthus: {run} failed: {reason}", file=sys.stderr)
    if failures:
        raise typer.Exit(1)


def _run(runs: "list[Trial]", root: Path, workers: int) -> dict[Path, str]:
    """All runs, with one progress bar; folder and reason of those that failed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from canthus.study.run import run_all, steps_left

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"steps of {len(runs)} runs", total=sum(map(steps_left, runs)))
        return run_all(runs, root, workers, lambda count: bar.advance(task, count))


def _show(outcome: "Outcome", console: "Console") -> None:
    from rich.markup import escape
    from rich.table import Table

    from canthus.study.outcome import title_of
    from canthus.study.table import HEAD, lines_of

    for measure in outcome.ablation.measures:
        console.print(title_of(outcome, measure), style="bold", highlight=False, markup=False)
        grid = Table(*HEAD, box=None, padding=(0, 2, 0, 0))
        for line in lines_of(outcome, measure):
            grid.add_row(*map(escape, line))
        console.print(grid)
        console.print()
