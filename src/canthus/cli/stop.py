"""Signals that end a command, Ctrl-C (SIGINT) and SIGTERM: files stay complete, and the exit code gives the reason."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from canthus.work.parent import PARENT

CODES = {130: "interrupted", 143: "terminated"}
"""Exit codes of commands that a signal ended: 128 + its number, as a shell reports it."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LATENCY = 0.1
"""Seconds after which a signal is handed on, at most."""


@contextmanager
def handled_by(handler: Any) -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM go to this handler, unless the caller ignores them."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, known in before.items():
        if known is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)


@contextmanager
def signals_end() -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM raise SystemExit with their exit code, unless the caller ignores them.

    Whatever error the program makes of that (a library in C that is being imported fails), the exit code is the same.
    """
    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise SystemExit(128 + number)

    with handled_by(end):
        try:
            yield
        except Exception as error:
            if received:
                raise SystemExit(128 + received[0]) from error
            raise


def leave_signals_to_first() -> None:
    """Ignore SIGINT and SIGTERM in all but the first of the processes that train together.

    Ctrl-C reaches them all; the first one tells the others when to stop, and they end with it (`work.parent`). One that
    ended by itself while the first one waits for it would make Lightning kill that.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0" and PARENT in os.environ:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def end_process(code: int) -> None:
    """End a process that trains together with others at once, with this exit code; return in every other process.

    Python would close the connection to the other processes at its end, which can wait for them for ever: they end only
    when the first one has ended. All files are written by now.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def run_until_signal(command: Sequence[str]) -> int:
    """Run a command to its end, and hand on to it the signals that arrive meanwhile.

    The command can tell by the variable `PARENT` of its environment who started it (`work.parent`).

    Returns:
        Its exit code; 128 + the number of the first signal where one arrived, whatever the command made of it.
    """
    received: list[int] = []
    apart: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}  # or Ctrl-C would reach it twice
    apart["env"] = {**os.environ, PARENT: str(os.getpid())}
    with handled_by(lambda number, frame: received.append(number)), subprocess.Popen(command, **apart) as process:
        handed, code = 0, None
        while code is None:
            try:
                code = process.wait(LATENCY)
            except subprocess.TimeoutExpired:
                for number in received[handed:]:
                    process.send_signal(number)
                    handed += 1
    if received:
        return 128 + received[0]
    return code if code >= 0 else 128 - code
