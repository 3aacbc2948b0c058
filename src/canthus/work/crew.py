"""Jobs shared among processes: each job is sent to one of them, and its answer comes back.

    def square(number: int, report: Report) -> int:
        return number**2

    for place, answer in spread([partial(square, number) for number in range(9)], workers=2):
        print(place, answer)

Processes are started afresh ("spawn"), so that none inherits the threads and locks of this one, and end with it, also
when it is killed.
"""

import os
import pickle
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import cv2

from canthus.errors import CanthusError

Report = Callable[[int], None]
"""Receives the number of steps that were made since the last call."""
Job = Callable[[Report], Any]
"""What a process is to do; a value that can be sent to another process, and whose answer can be sent back."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

ENDED = "the process that worked on it ended each time, in spite of all checks; convert it, or leave it out"
"""Reason why a file failed, for whoever tried it again after a `KilledError`."""


class KilledError(CanthusError):
    """A process ended before its job: it was killed, or what it worked on made it crash."""


def cores() -> int:
    """Number of cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ignore(count: int) -> None:
    """Progress that nobody asked for."""


@dataclass(frozen=True)
class _Answer:
    """What became of a job: its value, or its error."""

    value: Any = None
    error: Exception | None = None


@dataclass(eq=False)
class _Worker:
    """A process, the connection to it, and the place of the job that it does."""

    process: BaseProcess
    connection: Connection
    place: int = -1

    def give(self, place: int, job: Job) -> None:
        self.place = place
        with suppress(OSError):  # of a process that has died; `recv` notices
            self.connection.send(job)

    def dismiss(self) -> None:
        """Let the process end."""
        self.connection.close()
        self.process.join()


def spread(
    jobs: Iterable[Job], workers: int, threads: int = 1, fresh: bool = False, watch: Report = ignore
) -> Generator[tuple[int, Any], None, None]:
    """Do jobs in processes.

    Args:
        jobs: The jobs; each is taken when a process is free.
        workers: Largest number of processes.
        threads: Number of threads of each process.
        fresh: Whether each job has a process of its own, which may have further processes.
        watch: Receives what jobs report.

    Yields:
        Place of each job, from 0, and its answer, in the order in which they end; in place of the answer the error that
        the job raised, or a `KilledError` where its process was killed.
    """
    waiting = enumerate(jobs)
    crew: dict[Connection, _Worker] = {}
    following = next(waiting, None)
    try:
        while following is not None or crew:
            while following is not None and len(crew) < workers:
                worker = _hire(threads, daemon=not fresh)
                crew[worker.connection] = worker
                worker.give(*following)
                following = next(waiting, None)
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
                if following is not None and not fresh:
                    worker.give(*following)
                    following = next(waiting, None)
                else:
                    worker.dismiss()
                    del crew[connection]
                yield place, answer.value if answer.error is None else answer.error
    finally:
        for worker in crew.values():
            worker.process.terminate()
        for worker in crew.values():
            worker.dismiss()


def _killed(code: int | None) -> KilledError:
    return KilledError(
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
    """Do jobs until the connection is closed. Ends when the parent has been killed."""
    cv2.setNumThreads(threads)
    Thread(target=_follow_parent, daemon=True).start()
    try:
        while connection.poll(None):
            try:
                job: Job = connection.recv()
            except EOFError:
                return
            try:
                answer = _Answer(job(connection.send))
            except Exception as error:
                answer = _Answer(error=_portable(error))
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
