"""The number of this process among those that train together, whoever has started them: canthus, SLURM or torchrun."""

import os
from typing import NamedTuple

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment


class Rank(NamedTuple):
    """The place of a process in a run.

    Attributes:
        process: Number among the processes of all machines; 0 speaks for all.
        local: Number among the processes of its machine.
    """

    process: int
    local: int


def rank_of(processes: int) -> Rank:
    """The place of this process, by the environment that its starter has made for it.

    Args:
        processes: Number of processes on each machine.
    """
    for kind in (TorchElasticEnvironment, SLURMEnvironment):
        if kind.detect():
            known = kind()
            return Rank(known.global_rank(), known.local_rank())
    local, node = (int(os.environ.get(name, "0")) for name in ("LOCAL_RANK", "NODE_RANK"))
    return Rank(node * processes + local, local)
