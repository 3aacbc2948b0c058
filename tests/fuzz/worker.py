"""Attacks one class of input in a process of its own, whose memory is limited."""

import resource
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import cv2

from canthus.errors import CanthusError
from fuzz.targets import TARGETS

MEMORY = 2 << 30
"""Memory that a process may take beside what it has with all modules loaded, in bytes."""
SECONDS = 5.0
"""Time of the processor that an input may take."""


@dataclass
class Tally:
    """Result of some inputs of one class.

    Attributes:
        tried: Number of inputs.
        refused: Number of inputs that raised an error of canthus.
        failures: By what went wrong and where, the numbers of the inputs.
        seconds: Longest time of the processor for one input.
        memory: Largest memory of the process, in bytes.
    """

    tried: int = 0
    refused: int = 0
    failures: dict[str, list[int]] = field(default_factory=dict)
    seconds: float = 0.0
    memory: int = 0

    def fail(self, what: str, number: int) -> None:
        """Record what went wrong with an input."""
        self.failures.setdefault(what, []).append(number)

    def add(self, other: "Tally") -> None:
        """Add the result of further inputs."""
        self.tried, self.refused = self.tried + other.tried, self.refused + other.refused
        self.seconds, self.memory = max(self.seconds, other.seconds), max(self.memory, other.memory)
        for what, numbers in other.failures.items():
            self.failures.setdefault(what, []).extend(numbers)


def material(name: str, folder: Path) -> list[tuple[Path, bytes]]:
    """The valid files of a class of input, and their content."""
    return [(path, path.read_bytes()) for path in TARGETS[name].seeds(folder)]


def prepare(name: str, files: list[tuple[Path, bytes]], seed: int, number: int) -> Path:
    """Write an input; number 0 and so on are the valid files, the others are damaged.

    Returns:
        The file; all others are valid.
    """
    rng = Random(f"{name}/{seed}/{number}")
    path, data = files[number] if number < len(files) else rng.choice(files)
    path.write_bytes(data if number < len(files) else TARGETS[name].damage(rng, data, path.suffix))
    return path


def attack(connection: Connection, name: str, seed: int, folder: Path, first: int, until: float, most: int) -> None:
    """Try inputs until a time, or until their number is reached; the last message is None.

    Args:
        connection: Gets the number of each input before it is tried, and then its `Tally`.
        name: Class of input.
        seed: Seed of the damage.
        folder: Folder for the files.
        first: Number of the first input.
        until: Time at which to stop, in seconds since the epoch.
        most: Number of the input at which to stop.
    """
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    files = material(name, folder)
    _try(name, prepare(name, files, seed, 0), 0, Tally())  # loads all modules
    _limit_memory()
    number = first
    while number < most and time.time() < until:
        connection.send(number)
        tally = Tally()
        path = prepare(name, files, seed, number)
        _try(name, path, number, tally, number < len(files))
        path.write_bytes(dict(files)[path])
        connection.send(tally)
        number += 1
    connection.send(None)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _try(name: str, path: Path, number: int, tally: Tally, valid: bool = False) -> None:
    """Let canthus read an input, and record what it does."""
    started = time.process_time()
    try:
        TARGETS[name].run(path)
    except CanthusError as error:
        tally.refused += 1
        if valid:
            tally.fail(f"a valid file is refused: {error}", number)
        if not str(error).strip():
            tally.fail("an error without a message", number)
    except Exception as error:
        tally.fail(f"{type(error).__name__} at {_place(error)}", number)
    taken = time.process_time() - started
    tally.tried += 1
    tally.seconds = max(tally.seconds, taken)
    tally.memory = max(tally.memory, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
    if taken > SECONDS:
        tally.fail(f"more than {SECONDS:g} s", number)


def _place(error: BaseException) -> str:
    """The deepest line of canthus in a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/canthus/" in frame.filename] or frames
    return f"{ours[-1].filename.rpartition('/canthus/')[2]}:{ours[-1].lineno}"


if __name__ == "__main__":  # show the whole traceback of one input: CLASS SEED NUMBER FOLDER
    chosen, chosen_seed, chosen_number, place = sys.argv[1:]
    damaged = prepare(chosen, material(chosen, Path(place)), int(chosen_seed), int(chosen_number))
    print(damaged)
    TARGETS[chosen].run(damaged)
