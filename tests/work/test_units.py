import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pytest

from canthus.errors import CanthusError
from canthus.work.crew import THREADS
from canthus.work.files import replace_whole
from canthus.work.units import attempt, make


@dataclass(frozen=True)
class Quotient:
    """12 / number, in a file. 0 fails, and the process that takes 5 is killed."""

    folder: Path
    number: int

    @property
    def path(self) -> Path:
        return self.folder / f"{self.number}.txt"

    @property
    def finished(self) -> bool:
        return self.path.is_file()

    def make(self, report: Callable[[int], None]) -> None:
        report(1)
        report(2)
        if self.number == 5:
            os._exit(9)
        with replace_whole(self.path) as part:
            part.write_text(f"{12 // self.number} {os.getpid()} {os.environ.get(THREADS[0])}")


def quotients(folder: Path, *numbers: int) -> list[Quotient]:
    return [Quotient(folder, number) for number in numbers]


@pytest.mark.parametrize("workers", [1, 2])
def test_units_come_in_order(tmp_path: Path, workers: int) -> None:
    units = quotients(tmp_path, 3, 1, 4, 2)
    assert list(make(units, workers)) == units
    values, processes, _ = zip(*(unit.path.read_text().split() for unit in units), strict=True)
    assert values == ("4", "12", "3", "6")
    assert len(set(processes)) <= workers
    assert (str(os.getpid()) in processes) == (workers == 1)


def test_each_process_has_one_thread_and_this_one_keeps_its_own(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(THREADS[0], "7")
        patch.delenv(THREADS[1], raising=False)
        units = quotients(tmp_path, 1, 2)
        list(make(units, 2))
        assert {unit.path.read_text().split()[2] for unit in units} == {"1"}
        assert (os.environ[THREADS[0]], os.environ.get(THREADS[1])) == ("7", None)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_finished_is_not_made_again(tmp_path: Path, workers: int) -> None:
    units = quotients(tmp_path, 1, 2, 3, 4)
    for unit in make(units, 1):
        if unit.number == 2:
            break
    assert [unit.finished for unit in units] == [True, True, False, False]
    before = units[0].path.read_text()
    assert list(make(units, workers)) == units
    assert units[0].path.read_text() == before


def test_a_unit_is_given_before_the_next_one_is_made(tmp_path: Path) -> None:
    units = make(quotients(tmp_path, 1, 0), 1)
    assert next(units).number == 1
    with pytest.raises(ZeroDivisionError):
        next(units)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_through(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(make(quotients(tmp_path, 1, 0, 2), workers))
    if workers > 1:
        assert "in make" in caught.value.__notes__[0]


def test_a_killed_process_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CanthusError, match=r"a process was killed \(exit code 9\).*use fewer --workers"):
        list(make(quotients(tmp_path, 5, 1), 2))


def test_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    units, steps = quotients(tmp_path, 0, 5, 1, 2), []
    failures = dict(attempt(units, 2, threads=3, watch=steps.append))
    assert set(failures) == set(units[:2])
    assert isinstance(failures[units[0]], ZeroDivisionError)
    assert "exit code 9" in str(failures[units[1]])
    _, processes, threads = zip(*(unit.path.read_text().split() for unit in units[2:]), strict=True)
    assert len(set(processes)) == 2 and threads == ("3", "3")
    assert sum(steps) == 12
    assert attempt(units[2:], 2) == []


@dataclass(frozen=True)
class Odd:
    """Raises what cannot be sent to another process."""

    finished = False

    def make(self, report: Callable[[int], None]) -> None:
        raise OddError(1, 2)


class OddError(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def test_an_error_that_cannot_be_sent_keeps_its_text() -> None:
    ((_, error),) = attempt([Odd()], 1)
    assert str(error) == "OddError: 1 and 2"


@dataclass(frozen=True)
class Slow:
    """Notes its process, then takes long; the first one does not."""

    folder: Path
    number: int

    @property
    def path(self) -> Path:
        return self.folder / f"{self.number}.txt"

    @property
    def finished(self) -> bool:
        return self.path.is_file()

    def make(self, report: Callable[[int], None]) -> None:
        (self.folder / f"{self.number}.process").write_text(str(os.getpid()))
        if self.number:
            time.sleep(60)
        self.path.write_text("made")


def start(folder: Path) -> None:
    """The process that is killed."""
    list(make([Slow(folder, number) for number in range(3)], 2))


def alive(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.is_file() and "State:\tZ" not in status.read_text()


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="processes are looked up in /proc")
def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    parent = get_context("spawn").Process(target=start, args=(tmp_path,))
    parent.start()
    until = time.monotonic() + 60
    while len(list(tmp_path.glob("[12].process"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    workers = [int(path.read_text()) for path in tmp_path.glob("[12].process")]
    assert len(workers) == 2 and all(map(alive, workers))
    parent.kill()
    parent.join()
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, workers))
    assert [Slow(tmp_path, number).finished for number in range(3)] == [True, False, False]
