"""A process ends when the one that started it has been killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from canthus.work.parent import PARENT, end_with_parent, telling_children

CHILD = """
import pathlib, signal, sys, time
from canthus.work.parent import end_with_parent
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({end!r}).write_text("saved"), sys.exit()))
end_with_parent(at_once={at_once})
pathlib.Path({ready!r}).touch()
time.sleep(60)
"""
MIDDLE = """
import subprocess, sys
from canthus.work.parent import telling_children
with telling_children():
    subprocess.run([sys.executable, "-c", {child!r}])
"""


@pytest.mark.parametrize("at_once", [True, False])
def test_a_process_ends_with_its_parent(at_once: bool, tmp_path: Path) -> None:
    ready, end = tmp_path / "ready", tmp_path / "end"
    child = CHILD.format(end=str(end), ready=str(ready), at_once=at_once)
    with subprocess.Popen(
        [sys.executable, "-c", MIDDLE.format(child=child)], stdout=subprocess.PIPE, start_new_session=True
    ) as parent:
        while not ready.exists():
            assert parent.poll() is None
            time.sleep(0.02)
        os.kill(parent.pid, signal.SIGKILL)
        parent.communicate(timeout=30)  # the child holds the other end of its output until it ends
    assert end.exists() == (not at_once)


def test_only_children_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PARENT, raising=False)
    with telling_children():
        assert os.environ[PARENT] == str(os.getpid())
        end_with_parent(at_once=True)  # it is not its own child
        with telling_children():
            pass
        assert PARENT in os.environ
    assert PARENT not in os.environ
    end_with_parent(at_once=True)
