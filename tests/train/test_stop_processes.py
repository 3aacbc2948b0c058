"""Signals to training runs of several processes, and of several stages, as a user or a scheduler sends them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from canthus.train.recipe import Recipe
from canthus.train.run_card import RunCard

PATIENCE = 120.0
"""Seconds that a process may take to start or to end on a busy machine."""


def members(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            state, _, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):  # no process, or one that has just ended
            continue
        if int(of) == session and state != "Z":
            found.append(int(folder.name))
    return found


@pytest.fixture
def started(drawn: Path, tiny: Recipe, tmp_path: Path) -> Iterator["Started"]:
    one = Started(drawn, tiny, tmp_path)
    yield one
    for number in members(one.session):
        os.kill(number, signal.SIGKILL)


class Started:
    """A training run in a session of its own, so that all its processes can be found."""

    def __init__(self, root: Path, tiny: Recipe, folder: Path) -> None:
        self.root, self.tiny, self.folder, self.out, self.session = root, tiny, folder, folder / "run", 0

    def start(self, then: list[dict[str, object]], **fields: object) -> "subprocess.Popen[str]":
        """Train by the tiny recipe with other fields, for so many steps that it does not come to its end."""
        long = {"steps": 200_000, "validate_every": 2, **fields}
        tree = self.tiny.model_copy(update=long).model_dump(mode="json", exclude={"start"})
        recipe = self.folder / "tiny.yaml"
        recipe.write_text(json.dumps(tree | ({"then": then} if then else {})))
        words = ["train", str(recipe), "--root", str(self.root), "--out", str(self.out)]
        process = subprocess.Popen(
            [sys.executable, "-m", "canthus", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # who runs in the background ignores it
        )
        self.session = process.pid
        return process


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > until:
            process.kill()  # else what it said is waited for without an end
        assert process.poll() is None, process.communicate(timeout=PATIENCE)[1]
        time.sleep(0.05)


def nobody_is_left(session: int) -> bool:
    until = time.monotonic() + PATIENCE
    while members(session) and time.monotonic() < until:
        time.sleep(0.1)
    return not members(session)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_all_processes(number: signal.Signals, started: Started) -> None:
    """TERM goes to the first process, INT to all of them, as from Ctrl-C; after KILL the others end by themselves."""
    process, last = started.start([], processes=2), started.out / "last.ckpt"
    wait_for(last, process)
    assert len(members(started.session)) >= 2
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), said
    assert "Traceback" not in said or number == signal.SIGKILL, said
    assert nobody_is_left(started.session)
    card = RunCard.beside(last)
    assert (card.sessions[-1].minutes, card.recipe["processes"]) == (None, 2)
    assert torch.load(last, weights_only=True)["global_step"] > 0


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_while_one_process_waits_for_the_other(number: signal.Signals, started: Started) -> None:
    """The second process is still loading its modules; INT goes to both, as from Ctrl-C."""
    process = started.start([], processes=2)
    while len(members(started.session)) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(3)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), said
    assert nobody_is_left(started.session)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_stage_that_runs_and_all_later_ones(number: signal.Signals, started: Started) -> None:
    process, last = started.start([{"seed": 7}]), started.out / "1" / "last.ckpt"
    wait_for(last, process)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), said
    assert nobody_is_left(started.session)
    assert RunCard.beside(last).sessions[-1].minutes is None
    assert not (started.out / "2").exists()
