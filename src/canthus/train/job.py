"""What `fit` needs to know of a run: its task, its batches, and the value that decides between checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch.utils.data import IterableDataset


class Post(NamedTuple):
    """The place of one process in a run.

    Attributes:
        root: Folder of the data sets.
        out: Folder of the run.
        process: Number of the process among those of all machines.
        first: First step, after 0 where the run is resumed.
        local: Number of the process among those of its machine: that of its GPU.
    """

    root: Path
    out: Path
    process: int
    first: int
    local: int = 0


@dataclass(frozen=True, eq=False)
class Job:
    """A run, ready to be trained.

    Attributes:
        task: The Lightning module.
        stream: Batches of this process, each a mapping from names to tensors.
        monitor: Logged value of validation that decides between checkpoints.
        mode: Whether lower ("min") or higher ("max") values are better.
        scheme: Name of the landmark scheme.
        arrays: Constant arrays of the network by name, stored beside the checkpoints.
        faces: Facts about the training faces for the card.
        callbacks: Further Lightning callbacks.
    """

    task: lightning.LightningModule
    stream: IterableDataset[Any]
    monitor: str
    mode: Literal["min", "max"]
    scheme: str
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    faces: dict[str, float] = field(default_factory=dict)
    callbacks: list[Callback] = field(default_factory=list)
