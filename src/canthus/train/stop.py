"""The end of a training run by a signal: its step is finished, a checkpoint is saved, the exit code is the signal's."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 5.0
"""Seconds that a process waits before it reports an error: if the first process of the run has ended, it ends meanwhile
(`work.parent`), since the error is only that the first one no longer answers."""


class StopOnSignal(Callback):
    """Saves a checkpoint after the step in which SIGINT or SIGTERM arrives, and ends the run there.

    A signal during a validation, before which a checkpoint was saved, and a second signal end the run at once.
    Processes that train together stop after the same step.
    """

    def __init__(self, checkpoint: Path) -> None:
        """Choose the checkpoint to write.

        Args:
            checkpoint: The file from which the run is resumed.
        """
        self.checkpoint = checkpoint
        self._received = 0
        self._validating = False
        self._before: dict[signal.Signals, Any] = {}

    @contextmanager
    def guarding(self, trainer: lightning.Trainer) -> Iterator[None]:
        """Within the block, a signal ends the run with its exit code; afterwards the handlers of the caller are back.

        Args:
            trainer: Trains within the block, with this callback.

        Raises:
            SystemExit: a signal has stopped the run; the code is 128 + its number.
        """
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            yield
        except SystemExit as error:
            _end_others(trainer)
            of_lightning: dict[Any, int] = {1: 128 + signal.SIGINT, None: 128 + signal.SIGTERM}
            code = 128 + self._received if self._received else of_lightning.get(error.code, error.code)
            raise SystemExit(code) from error
        except Exception:
            if trainer.global_rank > 0:
                time.sleep(GRACE)
            _end_others(trainer)
            raise
        finally:
            self._listen(self._before)

    def _listen(self, handlers: Mapping[signal.Signals, Any]) -> None:
        if current_thread() is main_thread():  # no other thread may
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received or self._validating:
            self._received = number
            raise SystemExit(128 + number)
        self._received = number

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Hear signals from now on, in place of Lightning; those that the caller ignores are ignored."""
        known = {number: handler for number, handler in self._before.items() if handler is not None}
        ignored = signal.SIG_IGN
        self._listen({number: self._receive if kept != ignored else ignored for number, kept in known.items()})

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """From now on, a signal ends the run at once."""
        self._validating = True
        if self._received:
            raise SystemExit(128 + self._received)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """From now on, a signal ends the run after the next step."""
        self._validating = False

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Save the last step where no validation does, and stop if a signal has arrived, in any of the processes."""
        if trainer.global_step >= trainer.max_steps and trainer.global_step % int(trainer.val_check_interval):
            trainer.save_checkpoint(self.checkpoint)
        stopped = bool(self._received)
        if trainer.world_size > 1:
            stopped = trainer.strategy.reduce_boolean_decision(stopped, all=False)
        if stopped:
            trainer.save_checkpoint(self.checkpoint)
            raise SystemExit(128 + (self._received or signal.SIGTERM))


def _end_others(trainer: lightning.Trainer) -> None:
    """End the processes that this one started, whatever they wait for; only the first process of a run writes files.

    They ignore SIGTERM, and they watch for the end of the first one in a thread, which a stuck library can block.
    """
    started: list[subprocess.Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", [])
    others = started.copy()
    started.clear()  # Lightning kills the first process, too, where one that it knows has failed
    for process in others:
        process.kill()
