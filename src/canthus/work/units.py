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

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Protocol, TypeVar

from canthus.work.crew import Report, ignore, spread


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
                unit.make(ignore)
            yield unit
        return
    with closing(spread([units[number].make for number in todo], workers)) as ended:
        for number, unit in enumerate(units):
            while not finished[number]:
                place, error = next(ended)
                if error is not None:
                    raise error
                finished[todo[place]] = True
            yield unit


def attempt(units: Sequence[U], workers: int, threads: int = 1, watch: Report = ignore) -> list[tuple[U, Exception]]:
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
    with closing(spread([unit.make for unit in todo], workers, threads, fresh=True, watch=watch)) as ended:
        return [(todo[place], error) for place, error in ended if error is not None]
