"""Processes that train together give what one process gives with their samples, and a run may change their number.

The processes are two machines as the recipe sees it, started as SLURM or torchrun would start them.
"""

import os
import signal
import socket
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch import nn

from canthus.train.fit import fit
from canthus.train.job import Rank, rank_of
from canthus.train.recipe import Recipe
from canthus.train.run_card import RunCard

STEPS, STOPPED = 6, 3
SHARE, TOLERANCE = 0.99, 1e-4
"""99 % of the weights agree to a ten-thousandth of the learning rate, the error in validation to as much of itself.
The others have no effect, as the offset of a heatmap: Adam makes steps of the rounding of their gradients."""


def without_statistics(self: nn.BatchNorm2d, features: torch.Tensor) -> torch.Tensor:
    return nn.functional.batch_norm(features, self.running_mean, self.running_var, self.weight, self.bias, False)


def until_a_signal(step: int) -> None:
    if step == STOPPED:
        os.kill(os.getpid(), signal.SIGTERM)


def node(number: int, port: int, recipe: Recipe, root: Path, out: Path) -> None:
    """Train as one of two machines; the first one gets a signal after a step."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), NODE_RANK=str(number), LOCAL_RANK="0")
    fit(recipe, root, out, threads=1, watch=until_a_signal if number == 0 else lambda step: None)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value.double() for name, value in state.items() if value.is_floating_point()}


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Difference of weights that 99 % of them do not exceed."""
    assert one.keys() == other.keys()
    return float(torch.quantile(torch.cat([(one[name] - other[name]).abs().flatten() for name in one]), SHARE))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, so that torch need not be loaded again")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_two_processes_train_as_one_with_twice_the_batch(
    drawn: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by a signal and resumed by one process. Without the statistics of batches, which each process has."""
    monkeypatch.setattr(nn.BatchNorm2d, "forward", without_statistics)
    alone = tiny.model_copy(update={"steps": STEPS, "validate_every": STEPS, "streams": 2})
    shared = alone.model_copy(update={"nodes": 2, "batch": tiny.batch // 2})
    port, fork = free_port(), get_context("fork")
    nodes = [fork.Process(target=node, args=(number, port, shared, drawn, tmp_path / "two")) for number in range(2)]
    for process in nodes:
        process.start()
    with pytest.raises(SystemExit):
        fit(alone, drawn, tmp_path / "one", threads=1, watch=until_a_signal)
    for process in nodes:
        process.join(120)
    assert [process.exitcode for process in nodes] == [128 + signal.SIGTERM] * 2
    stopped = weights(tmp_path / "one")
    differences = [apart(stopped, weights(tmp_path / "two"))]
    for name in ("one", "two"):
        fit(alone, drawn, tmp_path / name, resume=True, threads=1, watch=lambda step: None)
    differences.append(apart(weights(tmp_path / "one"), weights(tmp_path / "two")))
    moved = apart(stopped, weights(tmp_path / "one"))
    assert max(differences) < TOLERANCE * alone.optimiser.rate < 1e-3 * moved
    card = RunCard.beside(tmp_path / "two" / "last.ckpt")
    assert [session.first_step for session in card.sessions] == [0, STOPPED]
    errors = [RunCard.beside(tmp_path / name / "last.ckpt").sessions[-1].last["val/wild68"] for name in ("one", "two")]
    assert errors[0] == pytest.approx(errors[1], rel=TOLERANCE)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Rank(0, 0)),
        ({"LOCAL_RANK": "1"}, Rank(1, 1)),
        ({"LOCAL_RANK": "1", "NODE_RANK": "2"}, Rank(9, 1)),
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "6", "LOCAL_RANK": "2", "WORLD_SIZE": "8"}, Rank(6, 2)),
        ({"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_PROCID": "5", "SLURM_LOCALID": "1"}, Rank(5, 1)),
    ],
    ids=["alone", "lightning", "machines", "torchrun", "slurm"],
)
def test_a_process_knows_its_place(
    environment: dict[str, str], expected: Rank, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert rank_of(4) == expected
