"""The end of a training run of several processes, whatever state the other processes are in."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning
import pytest
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from canthus.train.stop import StopOnSignal

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process by SIGSTOP")
@pytest.mark.parametrize("end", [SystemExit(143), OSError("the disk is full")])
def test_a_process_that_hears_nothing_ends_with_the_first_one(end: BaseException) -> None:
    """It ignores SIGTERM and is stopped, as a library is that waits and lets nothing else run."""
    launcher = _SubprocessScriptLauncher(LightningEnvironment(), num_processes=2, num_nodes=1)
    trainer = cast(Any, SimpleNamespace(strategy=SimpleNamespace(launcher=launcher), global_rank=0))
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        other.send_signal(signal.SIGSTOP)
        launcher.procs.append(other)
        try:
            with pytest.raises(type(end)), StopOnSignal(Path("last.ckpt")).guarding(cast(lightning.Trainer, trainer)):
                raise end
            assert other.wait(timeout=60) == -signal.SIGKILL
            assert not launcher.procs  # Lightning kills the first process where one of these has failed
        finally:
            other.kill()
