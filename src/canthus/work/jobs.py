"""What every run of the factory has: a folder that is its own, and processes that share the work."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from hashlib import sha256
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import cv2

from canthus.errors import CanthusError, InputError, OutputError
from canthus.work.files import replace_whole

Result = TypeVar("Result")

INDEX, SETTINGS, SHEET = "index.npz", "run.json", "sheet.png"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def claim(out: Path, settings: Mapping[str, Any]) -> None:
    """Make a folder ours: a new one, or one of the same settings. What a kill left half-written goes.

    Args:
        out: The folder of the run.
        settings: All that its result depends on, for JSON.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
    path = out / SETTINGS
    try:
        if path.is_file():
            if path.read_text(encoding="utf-8") != text:
                raise OutputError(f"{out}: holds a run with other settings (run.json); choose another folder")
            for part in list(out.glob(".*.part")):
                shutil.rmtree(part)
            for part in list(out.rglob(".*.part.*")):
                part.unlink()
        elif out.exists() and any(item != path.with_name(".run.part.json") for item in out.iterdir()):
            raise OutputError(f"{out}: is not empty and holds no run; choose another folder")
        else:
            with replace_whole(path) as part:
                part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}; choose another folder") from error


def spread(function: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[Result]:
    """Call a function with the arguments of each job, over processes.

    Args:
        function: Of a module, so that processes can be sent it.
        jobs: Its arguments.
        workers: Processes, each with one thread, which end with this one; 1 = this one does the work.

    Yields:
        The results in the order of the jobs, each as soon as it is there.

    Raises:
        CanthusError: a process was killed.
    """
    if workers == 1 or len(jobs) < 2:
        yield from (function(*job) for job in jobs)
        return
    os.environ.update({name: os.environ.get(name, "1") for name in THREADS})  # read by the BLAS of the new processes
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start) as pool:
        running = [pool.submit(function, *job) for job in jobs]
        try:
            yield from (future.result() for future in running)
        except BrokenProcessPool as error:
            raise CanthusError("a process was killed, perhaps for want of memory; use fewer --workers") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start() -> None:
    """Make a new process use one thread, and end when its parent has been killed."""
    cv2.setNumThreads(1)
    Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def digest(path: Path) -> str:
    """What tells this file from another.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
