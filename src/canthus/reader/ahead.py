"""Reads image files in background threads, a few ahead of their use."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from canthus.errors import CanthusError
from canthus.reader.frame import Frame
from canthus.reader.image import read

READERS = 2
"""Number of threads that read images."""
AHEAD = 4
"""Number of images that are read before they are needed."""


def read_ahead(paths: Iterable[Path]) -> Iterator[Frame]:
    """Read image files in the background.

    Args:
        paths: Image files.

    Yields:
        A frame for each file, in order; one that cannot be read has an error in place of its image.
    """
    queue = enumerate(paths)
    with ThreadPoolExecutor(READERS, thread_name_prefix="canthus-read") as pool:
        pending: deque[Future[Frame]] = deque()
        try:
            while True:
                for index, path in islice(queue, AHEAD - len(pending)):
                    pending.append(pool.submit(_frame, path, index))
                if not pending:
                    return
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _frame(path: Path, index: int) -> Frame:
    try:
        return Frame(path, index, image=read(path))
    except CanthusError as error:
        return Frame(path, index, error=error)
