"""`canthus train`: from recipes to checkpoints."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canthus.cli.options import NO_ROOT, Override, Root

if TYPE_CHECKING:
    from canthus.train.stages import Stage


def train(
    recipe: Annotated[str, typer.Argument(help="Training recipe: a YAML file, or a name from canthus recipes.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the run.", show_default="runs/NAME")
    ] = None,
    root: Root = None,
    override: Override = None,
    stage: Annotated[
        int | None, typer.Option(min=1, help="Train one stage of the recipe alone.", show_default="all, in order")
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Only write the recipe and its faces, reduced, to train on another machine."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")] = False,
) -> None:
    """Train a network as a recipe says.

    Writes best.ckpt (lowest validation error), last.ckpt, card.json, and logs for TensorBoard
    (tensorboard --logdir runs); a recipe of several stages has a folder for each.

    Ctrl-C and SIGTERM end a run after its current step, with a checkpoint from which --resume continues.

    Example: canthus train default --root data --stage 1 --set steps=2000 --out runs/short
    """
    from canthus.errors import DataError, need
    from canthus.recipes import find

    try:
        from canthus.train.fit import fit
        from canthus.train.job import rank_of
        from canthus.train.stages import load_stages
    except ModuleNotFoundError as error:
        raise need("train") from error
    path = find(recipe)
    stages = load_stages(path, out or Path("runs") / path.stem, override or [])
    for name in ("lightning.pytorch", "lightning.fabric"):  # what they report is of no use here
        logging.getLogger(name).setLevel(logging.WARNING)
    if root is None:
        raise DataError(NO_ROOT)
    if stage is not None and stage > len(stages):
        raise typer.BadParameter(f"the recipe has {len(stages)} stages")
    if pack is not None:
        _pack(stages if stage is None else stages[stage - 1 : stage], root, pack)
        return
    if len(stages) > 1 and stage is None:
        _one_by_one(stages, resume)
        return
    chosen = stages[(stage or 1) - 1]
    best = fit(chosen.recipe, root, chosen.folder, resume)
    if rank_of(chosen.recipe.processes).process:
        return  # one process speaks for all
    kind = "best" if best.name == "best.ckpt" else "last"  # no validation has come
    print(f"{kind} checkpoint: {best}\nmake a bundle of it: canthus export {best} --out {chosen.recipe.name}.canthus")


def _pack(stages: "Sequence[Stage]", root: Path, out: Path) -> None:
    """Write a recipe and its faces into a folder, with a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from canthus.train.pack import pack

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        recipe = pack(stages, root, out, lambda done, total: bar.update(task, completed=done, total=total))
    print(f"{recipe}: train there with: canthus train {recipe} --root {out}")


def _one_by_one(stages: "Sequence[Stage]", resume: bool) -> None:
    """Train each stage by this command again, since a run may start further processes; stop at the first failure.

    A signal is handed on, so that the run writes its checkpoint before it ends; no later stage is started then.
    """
    from canthus.cli.stop import run_until_signal
    from canthus.train.fit import check_machine
    from canthus.train.run_card import is_finished

    for stage in stages:
        check_machine(stage.recipe)  # before the first one has trained for hours
    for number, stage in enumerate(stages, 1):
        if resume and is_finished(stage.folder):
            continue
        code = run_until_signal([sys.executable, "-m", "canthus", *sys.argv[1:], "--stage", str(number)])
        if code:
            raise typer.Exit(code)
