"""Processes that end when the process that started them has ended, however that happened.

Without it, the other processes of a training run whose first one is killed wait for it, for as long as runs may pause.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

PARENT = "CANTHUS_PARENT"
"""Variable of the environment with the number of the process that started this one."""
INTERVAL = 0.5
"""Seconds between looks at the parent."""


def end_with_parent(at_once: bool) -> None:
    """End this process when its parent, if it has told its number by `PARENT`, is no more.

    Args:
        at_once: End without writing anything; else by SIGTERM, as if the parent had handed it on.
    """
    parent = int(os.environ.get(PARENT, "0"))
    if parent not in (0, os.getpid()):
        Thread(target=_watch, args=(parent, at_once), name="canthus-parent", daemon=True).start()


@contextmanager
def telling_children() -> Iterator[None]:
    """Within the block, processes that are started can tell by `PARENT` that this one has started them."""
    before = os.environ.get(PARENT)
    os.environ[PARENT] = str(os.getpid())
    try:
        yield
    finally:
        if before is None:
            del os.environ[PARENT]
        else:
            os.environ[PARENT] = before


def _watch(parent: int, at_once: bool) -> None:
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    if at_once:
        os._exit(128 + signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
