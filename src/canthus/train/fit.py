"""A training run from a recipe: checkpoints, logs, and a card with all that is needed to repeat it."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from numpy.typing import NDArray
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from canthus.errors import InputError, OutputError
from canthus.runtime.bundle import pack_arrays
from canthus.train.checkpoint import steps_of
from canthus.train.detection.job import detector, face_score
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe
from canthus.train.job import Job, Post, rank_of
from canthus.train.landmarks.job import landmarks
from canthus.train.landmarks.system import ARRAYS
from canthus.train.progress import StepBar, without_known_warnings
from canthus.train.recipe import Recipe, Run
from canthus.train.run_card import CARD, KIN, RunCard, Session, commit
from canthus.train.stop import StopOnSignal
from canthus.work.crew import cores
from canthus.work.files import replace_whole
from canthus.work.parent import end_with_parent, telling_children

JOBS: dict[type[Run], Callable[[Any, Post], Job]] = {
    DetectorRecipe: detector,
    FaceScoreRecipe: face_score,
    Recipe: landmarks,
}
"""What makes a run ready for training, by the kind of its recipe."""
_CPU = "add --set accelerator=cpu --set workers=0 to train on the CPU, which takes many times as long"
_LENGTH, _MACHINE = {"steps", "validate_every", "patience"}, {"accelerator", "precision", "workers", "memory"}
MAY_CHANGE = _LENGTH | _MACHINE | {"batch", "processes", "nodes", "streams", *KIN}
"""Fields of a recipe that a resumed run may change; those that name other runs, since their folders may have moved."""
PAUSE = timedelta(days=30)
"""Time that a process of a run waits for another one; long, since a signal may stop the processes for a while."""


def fit(
    recipe: Run,
    root: Path,
    out: Path,
    resume: bool = False,
    *,
    threads: int | None = None,
    watch: Callable[[int], None] | None = None,
) -> Path:
    """Train by a recipe.

    Args:
        recipe: The recipe.
        root: Folder of the data sets.
        out: Folder of the run: `last.ckpt`, `best.ckpt` (best in validation), `card.json`, TensorBoard logs. The
            weights in the checkpoints are the moving averages.
        resume: Resume from `last.ckpt` in `out`.
        threads: Number of threads of each process on the CPU; None = the cores, shared among the processes.
        watch: Called with the number of finished steps after each of them, in place of the progress bar.

    Returns:
        The best checkpoint.

    Raises:
        DataError: a set is missing or incomplete.
        InputError: the recipe needs a GPU, and there is none.
        OutputError: `out` already holds a run and `resume` is not set, or one of another recipe, or cannot be written.
        SystemExit: SIGINT or SIGTERM has stopped the run; its step was finished and `last.ckpt` written.
    """
    check_machine(recipe)
    rank = rank_of(recipe.processes)
    end_with_parent(at_once=rank.process > 0)
    last = _open_folder(out, resume, rank.process)
    resuming = resume and last.exists()
    first = _resumed_after(recipe, last) if resuming else 0
    cv2.setNumThreads(1)
    if recipe.accelerator == "cpu":
        torch.set_num_threads(threads or max(1, cores() // recipe.processes))
    lightning.seed_everything(recipe.seed, verbose=False)

    post = Post(root, out, rank.process, first, rank.local)
    job = next(make for kind, make in JOBS.items() if isinstance(recipe, kind))(recipe, post)
    card = _started(recipe, job, root, out, first) if rank.process == 0 else None
    best = ModelCheckpoint(out, "best", monitor=job.monitor, mode=job.mode, enable_version_counter=False)
    stop = StopOnSignal(last)
    trainer = _trainer(recipe, job, out, [best, stop], watch)
    batches = DataLoader(
        job.stream,
        batch_size=None,
        num_workers=recipe.workers,
        pin_memory=recipe.accelerator == "cuda" and not recipe.on_gpu,
    )
    once = DataLoader(_Once(), batch_size=None)
    started = time.time()
    with stop.guarding(trainer), without_known_warnings(), telling_children():
        trainer.fit(job.task, batches, once, ckpt_path=str(last) if resuming else None, weights_only=True)
    if card is not None:
        _ended(card, out, (time.time() - started) / 60, trainer.callback_metrics)
    return Path(best.best_model_path or last)


def check_machine(recipe: Run) -> None:
    """Refuse a recipe that this machine cannot train.

    Raises:
        InputError: the recipe needs a GPU, and there is none.
    """
    if recipe.accelerator == "cuda" and not torch.cuda.is_available():
        raise InputError(f"the recipe {recipe.name} trains on a GPU, and torch finds none; {_CPU}")


def _open_folder(out: Path, resume: bool, process: int) -> Path:
    """Make the folder of a run; returns the path of its last checkpoint.

    Raises:
        OutputError: it already holds a run and `resume` is not set, or cannot be made.
    """
    last = out / "last.ckpt"
    if last.exists() and not resume and process == 0:
        raise OutputError(
            f"{out} already holds a run; add --resume to continue it, or choose another folder with --out"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made: {error.strerror}; choose another folder with --out") from error
    return last


def _resumed_after(recipe: Run, last: Path) -> int:
    """Number of steps of the run that is resumed.

    Raises:
        OutputError: fields differ that no resumed run may change.
    """
    before, now = RunCard.beside(last).recipe, recipe.model_dump(mode="json")
    others = sorted(name for name in before if name in now and name not in MAY_CHANGE and before[name] != now[name])
    if others:
        raise OutputError(
            f"{last.parent}: holds a run of another recipe ({', '.join(others)} differ, see {CARD}); resume it with its"
            " own recipe, or choose another folder with --out"
        )
    return steps_of(last)


def _trainer(
    recipe: Run, job: Job, out: Path, ends: Sequence[Callback], watch: Callable[[int], None] | None
) -> lightning.Trainer:
    callbacks: list[Any] = [
        _Average(recipe),
        ModelCheckpoint(out, "last", every_n_train_steps=recipe.validate_every, enable_version_counter=False),
        LearningRateMonitor("step"),
        *job.callbacks,
        _WholeValidations(),
        StepBar() if watch is None else _Watch(watch),
        *ends,
    ]
    if recipe.patience:
        callbacks.append(EarlyStopping(job.monitor, patience=recipe.patience, mode=job.mode))
    return lightning.Trainer(
        accelerator="cpu" if recipe.accelerator == "cpu" else "gpu",
        devices=recipe.processes,
        num_nodes=recipe.nodes,
        strategy=DDPStrategy(timeout=PAUSE) if recipe.world > 1 else "auto",
        precision=recipe.precision,
        max_steps=recipe.steps,
        gradient_clip_val=recipe.optimiser.clip or None,
        val_check_interval=recipe.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=50,
        callbacks=callbacks,
        logger=TensorBoardLogger(out, name="", version=""),
        enable_model_summary=False,
        enable_progress_bar=False,
        benchmark=recipe.accelerator == "cuda",
        plugins=[_WholeCheckpoints()],
    )


def _started(recipe: Run, job: Job, root: Path, out: Path, first: int) -> RunCard:
    """Write the arrays and the card of a run that starts or resumes."""
    arrays = _write_arrays(out / ARRAYS, job.arrays) if job.arrays else None
    card = RunCard.of(recipe, root, job.scheme, job.faces, arrays)
    if first and (out / CARD).is_file():
        card.sessions.extend(RunCard.beside(out / "last.ckpt").sessions)
    card.sessions.append(Session(commit=commit(), first_step=first))
    card.write(out)
    return card


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write the arrays of a network; returns their hash."""
    data = pack_arrays(arrays)
    with replace_whole(path) as part:
        part.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _ended(card: RunCard, out: Path, minutes: float, metrics: Mapping[str, Any]) -> None:
    """Write into the card that its last session has reached the end of the run."""
    card.sessions[-1].minutes = minutes
    card.sessions[-1].last = {name: float(value) for name, value in metrics.items() if name.startswith("val")}
    card.write(out)


class _Average(WeightAveraging):
    """Exponential moving average of the weights, on the device that trains."""

    def __init__(self, recipe: Run) -> None:
        device = None if recipe.accelerator == "cpu" else torch.device("cuda", rank_of(recipe.processes).local)
        average = get_ema_multi_avg_fn(recipe.optimiser.ema)  # type: ignore[no-untyped-call]
        super().__init__(device=device, multi_avg_fn=average)

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Prepare the average; its counter stays on the CPU, or each step would wait for the GPU."""
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()


class _WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are complete or do not exist, also after a crash."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: it cannot be written.
        """
        content = BytesIO()
        torch.save(checkpoint, content)
        with replace_whole(Path(path)) as part:
            part.write_bytes(content.getbuffer())


class _WholeValidations(Callback):
    """Lets a resumed run repeat the validation that was due when its checkpoint was written.

    Lightning would leave it out, and the best checkpoint with it, unless it finds a validation that was interrupted and
    steps that are left; after the last step there are none, so one is pretended until the validation starts.
    """

    _steps: int | None = None

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let the checkpoint say that a validation was interrupted in its only batch."""
        loops = checkpoint["loops"]["fit_loop"]
        progress = loops["epoch_loop.val_loop.batch_progress"]
        nothing = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
        progress["current"], progress["total"] = nothing, {**nothing, "ready": 1, "started": 1}
        done, loop = int(checkpoint["global_step"]), trainer.fit_loop.epoch_loop
        if done >= loop.max_steps and done % int(trainer.val_check_interval) == 0:
            self._steps, loop.max_steps = loop.max_steps, done + 1
            loops["epoch_loop.batch_progress"]["is_last_batch"] = False

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Let the run end after this validation."""
        if self._steps is not None:
            trainer.fit_loop.epoch_loop.max_steps, self._steps = self._steps, None


class _Watch(Callback):
    """Reports the number of finished steps."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self.report = report

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.report(trainer.global_step)


class _Once(Dataset[int]):
    """One item, since a validation covers all its sets in one step."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        return index
