"""Signals that end a command, Ctrl-C (SIGINT) and SIGTERM: files stay complete, and the exit code gives the reason."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CODES = {130: "interrupted", 143: "terminated"}
"""Exit codes of commands that a signal ended: 128 + its number, as a shell reports it."""


@contextmanager
def signals_end() -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM raise SystemExit with their exit code, unless the caller ignores them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
