"""`canthus train`: from recipes to checkpoints."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from canthus.cli.options import NO_ROOT, Override, Root


def train(
    recipes: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE...",
            help="Training recipes, YAML files, trained one after the other; recipes/ holds those of canthus.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the run.", show_default="runs/ and the file's name")
    ] = None,
    root: Root = None,
    override: Override = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")] = False,
) -> None:
    """Train a network as a recipe says.

    Writes best.ckpt (lowest validation error), last.ckpt, card.json, and logs for TensorBoard
    (tensorboard --logdir runs). A later recipe may start from the run of an earlier one.

    Example: canthus train recipes/compact.yaml recipes/compact_tune.yaml --root data
    """
    from canthus.errors import DataError, need

    try:
        from canthus.train.detection.recipe import load_run
        from canthus.train.fit import fit
    except ModuleNotFoundError as error:
        raise need("train") from error
    if len(recipes) > 1 and out is not None:
        raise typer.BadParameter("--out names the folder of one run; leave it out with several recipes")
    checked = [load_run(recipe, override or []) for recipe in recipes]
    if root is None:
        raise DataError(NO_ROOT)
    if len(recipes) > 1:
        _one_by_one(recipes, root, override or [], resume)
        return
    best = fit(checked[0], root, out or Path("runs") / recipes[0].stem, resume)
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return  # one process speaks for all
    print(f"best checkpoint: {best}\nmake a bundle of it: canthus export {best} --out {checked[0].name}.canthus")


def _one_by_one(recipes: Sequence[Path], root: Path, override: Sequence[str], resume: bool) -> None:
    """Train each recipe by a command of its own, since a run may start further processes; stop at the first failure."""
    changes = [word for change in override for word in ("--set", change)]
    for recipe in recipes:
        command = [sys.executable, "-m", "canthus", "train", str(recipe), "--root", str(root), *changes]
        code = subprocess.run([*command, *(["--resume"] if resume else [])], check=False).returncode
        if code:
            raise typer.Exit(code)
