"""What `fit` needs of a recipe: a task, its batches, and what decides between checkpoints."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning
from lightning.pytorch.callbacks import Callback
from torch.utils.data import IterableDataset

from canthus.data.catalogue import open_set
from canthus.errors import DataError
from canthus.train.landmarks.loader import Stream, load_pool
from canthus.train.landmarks.task import Task
from canthus.train.recipe import Recipe


class Place(NamedTuple):
    """Where and when a process works.

    Attributes:
        root: Folder of the data sets.
        out: Folder of the run.
        process: Number among the recipe's processes.
        first: Step to begin at.
    """

    root: Path
    out: Path
    process: int
    first: int


@dataclass(frozen=True, eq=False)
class Job:
    """A run, ready to be trained.

    Attributes:
        task: The module of Lightning.
        stream: Batches of this process, each a mapping of tensors.
        monitor: What validation logs that decides between checkpoints.
        mode: Whether less or more of it is better.
        card: What the card tells beside the recipe.
        callbacks: What else runs along.
    """

    task: lightning.LightningModule
    stream: IterableDataset[Any]
    monitor: str
    mode: Literal["min", "max"]
    card: dict[str, Any]
    callbacks: list[Callback] = field(default_factory=list)


def landmarks(recipe: Recipe, place: Place) -> Job:
    """The run of a system of landmarks; the least error wins.

    Raises:
        DataError: a set is missing or incomplete, or the sets have different schemes.
    """
    val = {share.name: open_set(share.name, place.root, share.split, **share.options) for share in recipe.val}
    pool = load_pool(recipe, place.root)
    schemes = {sample.scheme for samples in val.values() for sample in samples}
    if len(schemes) != 1:
        raise DataError(f"the sets of a recipe must share one scheme, these have {sorted(schemes)}")
    scheme = schemes.pop()
    task = Task(recipe, scheme, val, pool.mean)
    stream = Stream(pool, recipe, task.config.margin, scheme, place.process, place.first)
    card = {"scheme": scheme, "mean": None if pool.mean is None else pool.mean.round(4).tolist()}
    return Job(task, stream, "val/nme", "min", card)
