"""What `fit` needs to know of a run: its processes, its task, its batches, and what decides between checkpoints."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch.utils.data import IterableDataset


class Rank(NamedTuple):
    """The place of a process in a run.

    Attributes:
        process: Number among the processes of all machines; 0 speaks for all.
        local: Number among the processes of its machine.
    """

    process: int
    local: int


def rank_of(processes: int) -> Rank:
    """The place of this process, by the environment that canthus, SLURM or torchrun has made for it.

    Args:
        processes: Number of processes on each machine.
    """
    for kind in (TorchElasticEnvironment, SLURMEnvironment):
        if kind.detect():
            known = kind()
            return Rank(known.global_rank(), known.local_rank())
    local, node = (int(os.environ.get(name, "0")) for name in ("LOCAL_RANK", "NODE_RANK"))
    return Rank(node * processes + local, local)


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
