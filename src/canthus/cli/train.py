"""`canthus train`: from a recipe to checkpoints."""

import os
from pathlib import Path
from typing import Annotated

import typer

from canthus.cli.options import NO_ROOT, Override, Root


def train(
    recipe: Annotated[Path, typer.Argument(help="Training recipe, a YAML file; recipes/ holds those of canthus.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the run.", show_default="runs/NAME")
    ] = None,
    root: Root = None,
    override: Override = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")] = False,
) -> None:
    """Train a network as a recipe says.

    Writes best.ckpt (lowest validation error), last.ckpt, card.json, and logs for TensorBoard
    (tensorboard --logdir runs).

    Example: canthus train recipes/compact.yaml --root data --set steps=2000 --out runs/short
    """
    from canthus.errors import DataError, need

    try:
        from canthus.train.detection.recipe import load_run
        from canthus.train.fit import fit
    except ModuleNotFoundError as error:
        raise need("train") from error
    checked = load_run(recipe, override or [])
    if root is None:
        raise DataError(NO_ROOT)
    best = fit(checked, root, out or Path("runs") / checked.name, resume)
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return  # one process speaks for all
    print(f"best checkpoint: {best}\nmake a bundle of it: canthus export {best} --out {checked.name}.canthus")
