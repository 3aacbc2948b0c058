"""Work in units over processes, so that a run which was killed can be resumed by the same command.

A unit keeps its result on disk, whole or not at all, and knows whether it is finished. Nothing but units and progress
passes between processes, so the workers may also be machines that share a disk.

    @dataclass(frozen=True)
    class Square:
        number: int
        path: Path

        @property
        def finished(self) -> bool:
            return self.path.is_file()

        def make(self, report: Report) -> None:
            with replace_whole(self.path) as part:
                part.write_text(str(self.number**2))

    squares = [Square(number, Path(f"{number}.txt")) for number in range(9)]
    for square in make(squares, workers=2):
        print(square.path.read_text())
"""

import os
import pickle
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Protocol, TypeVar

import cv2

from canthus.errors import CanthusError

Report = Callable[[int], None]
"""Receives the number of steps that were made since the last call."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Unit(Protocol):
    """A piece of work; a value that can be sent to another process."""

    @property
    def finished(self) -> bool:
        """Whether the result is on disk."""
        ...

    def make(self, report: Report) -> None:
        """Put the result on disk, whole or not at all.

        Args:
            report: Receives the progress of a long unit; others need not call it.
        """
        ...


U = TypeVar("U", bound=Unit)


def make(units: Sequence[U], workers: int = 1) -> Iterator[U]:
    """Make the units that are not finished.

    Args:
        units: The work.
        workers: Number of processes, each with one thread, which end with this one; 1 = this process does the work.

    Yields:
        All units in their order, each as soon as it is finished.

    Raises:
        CanthusError: a process was killed.
        Exception: what a unit raised.
    """
    finished = [unit.finished for unit in units]
    todo = [number for number, there in enumerate(finished) if not there]
    if workers == 1 or len(todo) < 2:
        for unit, there in zip(units, finished, strict=True):
            if not there:
                unit.make(_ignore)
            yield unit
        return
    with closing(_spread([units[number] for number in todo], workers, 1, False, _ignore)) as ended:
        for number, unit in enumerate(units):
            while not finished[number]:
                place, error = next(ended)
                if error is not None:
                    raise error
                finished[todo[place]] = True
            yield unit


def attempt(
    units: Sequence[U], workers: int, threads: int = 1, watch: Report = lambda count: None
) -> list[tuple[U, Exception]]:
    """Make the units that are not finished, each in a process of its own; one that fails stops no other.

    Args:
        units: The work.
        workers: Number of units made at once.
        threads: Number of threads of each process.
        watch: Receives what units report.

    Returns:
        Units that failed, and why.
    """
    todo = [unit for unit in units if not unit.finished]
    with closing(_spread(todo, workers, threads, True, watch)) as ended:
        return [(todo[place], error) for place, error in ended if error is not None]


def _ignore(count: int) -> None:
    """Progress that nobody asked for."""


@dataclass(eq=False)
class _Worker:
    """A process, the connection to it, and the unit that it makes."""

    process: BaseProcess
    connection: Connection
    place: int = -1

    def give(self, place: int, unit: Unit) -> None:
        self.place = place
        with suppress(OSError):  # of a process that has died; `recv` notices
            self.connection.send(unit)

    def dismiss(self) -> None:
        """Let the process end."""
        self.connection.close()
        self.process.join()


def _spread(
    units: Sequence[Unit], workers: int, threads: int, fresh: bool, watch: Report
) -> Generator[tuple[int, Exception | None], None, None]:
    """Number of each unit and its error, as they end. `fresh`: a new process for each unit."""
    waiting = deque(enumerate(units))
    crew: dict[Connection, _Worker] = {}
    try:
        while waiting or crew:
            while waiting and len(crew) < workers:
                worker = _hire(threads, daemon=not fresh)
                crew[worker.connection] = worker
                worker.give(*waiting.popleft())
            for connection in wait(list(crew)):
                assert isinstance(connection, Connection)
                worker = crew[connection]
                try:
                    answer = connection.recv()
                except (EOFError, ConnectionError):
                    worker.process.join()
                    del crew[connection]
                    yield worker.place, _killed(worker.process.exitcode)
                    continue
                if isinstance(answer, int):
                    watch(answer)
                    continue
                place = worker.place
                if waiting and not fresh:
                    worker.give(*waiting.popleft())
                else:
                    worker.dismiss()
                    del crew[connection]
                yield place, answer
    finally:
        for worker in crew.values():
            worker.process.terminate()
        for worker in crew.values():
            worker.dismiss()


def _killed(code: int | None) -> CanthusError:
    return CanthusError(
        f"a process was killed (exit code {code}), perhaps because memory ran out; use fewer --workers, and run the "
        "same command again to resume"
    )


def _hire(threads: int, daemon: bool) -> _Worker:
    """A new process; a daemon may have no children of its own."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, threads), daemon=daemon)
    with _environment(threads):
        process.start()
    there.close()
    return _Worker(process, here)


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Environment in which the BLAS of a new process takes so many threads."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, threads: int) -> None:
    """Make units until the connection is closed. Ends when the parent has been killed."""
    cv2.setNumThreads(threads)
    Thread(target=_follow_parent, daemon=True).start()
    try:
        while connection.poll(None):
            answer = None
            try:
                unit: Unit = connection.recv()
            except EOFError:
                return
            try:
                unit.make(connection.send)
            except Exception as error:
                answer = _portable(error)
            connection.send(answer)
    except (KeyboardInterrupt, BrokenPipeError):  # the parent hears the interrupt too
        sys.exit(130)


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """The error with its traceback as a note; its text alone where it cannot be sent to another process."""
    error.add_note("in a worker process:\n" + traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return CanthusError(f"{type(error).__name__}: {error}")
    return error
