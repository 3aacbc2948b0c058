"""Reads image files, or the frames of a video, in background threads, a few ahead of their use."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

from canthus.errors import CanthusError
from canthus.reader.frame import Frame
from canthus.reader.image import read

READERS = 2
"""Number of threads that read images."""
AHEAD = 4
"""Number of images that are read before they are needed."""
T = TypeVar("T")


def read_ahead(paths: Iterable[Path]) -> Iterator[Frame]:
    """Read image files in the background.

    Args:
        paths: Image files.

    Yields:
        A frame for each file, in order; one that cannot be read has an error in place of its image.
    """
    return load_ahead(enumerate(paths), lambda item: _frame(item[1], item[0]))


def load_ahead(items: Iterable[T], load: Callable[[T], Frame]) -> Iterator[Frame]:
    """Load frames in the background.

    Args:
        items: What a frame is loaded from, as the name of a file or its content; taken a few ahead of their use.
        load: Makes a frame of an item, in a thread; an image that cannot be loaded is an error in its frame.

    Yields:
        A frame for each item, in order.
    """
    queue = iter(items)
    with ThreadPoolExecutor(READERS, thread_name_prefix="canthus-read") as pool:
        pending: deque[Future[Frame]] = deque()
        try:
            while True:
                for item in islice(queue, AHEAD - len(pending)):
                    pending.append(pool.submit(load, item))
                if not pending:
                    return
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def in_background(frames: Iterable[Frame], ahead: int = AHEAD) -> Generator[Frame, None, None]:
    """Take frames from a source in a thread, a few before they are needed.

    Args:
        frames: The source; only the thread uses it.
        ahead: Largest number of frames that wait.

    Yields:
        The frames in order. An error of the source is raised here.
    """
    waiting: Queue[Frame | BaseException | None] = Queue(max(1, ahead))
    ended = Event()

    def put(item: Frame | BaseException | None) -> bool:
        while not ended.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        try:
            for frame in frames:
                if not put(frame):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = Thread(target=work, name="canthus-frames", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        ended.set()
        thread.join()


def _frame(path: Path, index: int) -> Frame:
    try:
        return Frame(path, index, image=read(path))
    except CanthusError as error:
        return Frame(path, index, error=error)
