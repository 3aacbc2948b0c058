"""What a training run shows on the terminal: one bar of its steps, and nothing that the user cannot act upon."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

KNOWN = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    r"Checkpoint directory .* exists and is not empty",
    r"The '\w+' does not have many workers",
    r"Found \d+ module\(s\) in eval mode",
)
"""Beginnings of warnings of Lightning about itself, or about what a run does on purpose."""


@contextmanager
def without_known_warnings() -> Iterator[None]:
    """Within the block, the warnings in `KNOWN` are not shown."""
    with warnings.catch_warnings():
        for message in KNOWN:
            warnings.filterwarnings("ignore", message)
        yield


class StepBar(Callback):
    """A bar of the steps of a run on standard error; where that is no terminal, a line for each validation."""

    def __init__(self) -> None:
        """The bar appears when the run starts."""
        console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[values]}", markup=False))
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, *times, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", values="")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Show the bar, from the first step of this session on."""
        if trainer.is_global_zero:
            self._bar.reset(self._task, total=trainer.max_steps, completed=trainer.global_step)
            self._bar.start()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Advance the bar."""
        if trainer.is_global_zero:
            self._bar.update(self._task, completed=trainer.global_step)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Show the values of training and validation."""
        values = "  ".join(f"{name} {float(value):.4g}" for name, value in sorted(trainer.progress_bar_metrics.items()))
        if trainer.is_global_zero:
            self._bar.update(self._task, total=trainer.max_steps, values=values)
            if self._bar.disable:
                self._bar.console.print(
                    f"step {trainer.global_step} of {trainer.max_steps}: {values}", highlight=False, soft_wrap=True
                )

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Leave the bar as it is."""
        self._bar.stop()
