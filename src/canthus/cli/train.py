"""`canthus train`: a recipe to checkpoints."""

import os
from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file; those of canthus lie under recipes/.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run.", show_default="runs/NAME")
    ] = None,
    root: Annotated[Path | None, typer.Option(envvar="CANTHUS_DATA", help="Folder of the data sets.")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field: --set optimiser.rate=1e-3")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")] = False,
) -> None:
    """Train a network by a recipe.

    Example: canthus train recipes/compact.yaml --root data --set steps=2000 --out runs/short

    Writes last.ckpt, best.ckpt, card.json and TensorBoard logs (tensorboard --logdir runs).
    """
    from canthus.errors import DataError, need

    try:
        from canthus.train.detection.recipe import load_run
        from canthus.train.fit import fit
    except ModuleNotFoundError as error:
        raise need("train") from error
    checked = load_run(recipe, override or [])
    if root is None:
        raise DataError("where are the data sets? Give their folder with --root or in CANTHUS_DATA")
    best = fit(checked, root, out or Path("runs") / checked.name, resume)
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return  # one process speaks for all
    print(f"best checkpoint: {best}\nmake a bundle of it: canthus export {best} --out {checked.name}.canthus")
