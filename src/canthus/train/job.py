"""What `fit` needs of a recipe: a task, its batches, and what decides between checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch.utils.data import IterableDataset


class Post(NamedTuple):
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
        monitor: Logged value of validation that decides between checkpoints.
        mode: Whether less or more of it is better.
        scheme: Name of the landmark scheme.
        arrays: Constants of the network that are kept beside the checkpoints.
        faces: Facts about the training faces for the card.
        callbacks: What else runs along.
    """

    task: lightning.LightningModule
    stream: IterableDataset[Any]
    monitor: str
    mode: Literal["min", "max"]
    scheme: str
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    faces: dict[str, float] = field(default_factory=dict)
    callbacks: list[Callback] = field(default_factory=list)
