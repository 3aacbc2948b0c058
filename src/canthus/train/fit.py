"""A training run from a recipe: checkpoints, logs, and a card with all that is needed to repeat it."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset

from canthus.data.catalogue import folder_of
from canthus.errors import OutputError
from canthus.train.detection.job import detector, face_score
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe
from canthus.train.job import Job, Place, landmarks
from canthus.train.recipe import Recipe, Run, SetShare, cores
from canthus.work.files import replace_whole

JOBS: dict[type[Run], Callable[[Any, Place], Job]] = {
    DetectorRecipe: detector,
    FaceScoreRecipe: face_score,
    Recipe: landmarks,
}
"""How a run is made ready, by the kind of its recipe."""


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
        recipe: What to train on what.
        root: Folder of the data sets.
        out: Folder of the run: `last.ckpt`, `best.ckpt` (best in validation), `card.json`, TensorBoard logs. The
            weights in the checkpoints are the moving averages.
        resume: Go on from `last.ckpt` in `out`.
        threads: Of each process on the CPU; None = the cores, shared among the processes.
        watch: Told the number of steps done after each of them, in place of the progress bar.

    Returns:
        The best checkpoint.

    Raises:
        DataError: a set is missing or incomplete.
        OutputError: `out` already holds a run and `resume` is not set, or cannot be written.
    """
    last = out / "last.ckpt"
    worker = int(os.environ.get("LOCAL_RANK", "0"))
    if last.exists() and not resume and worker == 0:
        raise OutputError(f"{out} already holds a run; add --resume to go on, or choose another folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made: {error.strerror}; choose another folder with --out") from error
    going_on = resume and last.exists()
    first = int(torch.load(last, weights_only=False, map_location="cpu")["global_step"]) if going_on else 0
    cv2.setNumThreads(1)
    if recipe.accelerator == "cpu":
        torch.set_num_threads(threads or max(1, cores() // recipe.processes))
    lightning.seed_everything(recipe.seed, verbose=False)

    job = JOBS[type(recipe)](recipe, Place(root, out, worker, first))

    best = ModelCheckpoint(out, "best", monitor=job.monitor, mode=job.mode, enable_version_counter=False)
    latest = ModelCheckpoint(out, "last", every_n_train_steps=recipe.validate_every, enable_version_counter=False)
    callbacks: list[Any] = [
        EMAWeightAveraging(decay=recipe.optimiser.ema),
        best,
        latest,
        LearningRateMonitor("step"),
        *job.callbacks,
    ]
    if watch is not None:
        callbacks.append(_Watch(watch))
    if recipe.patience:
        callbacks.append(EarlyStopping(job.monitor, patience=recipe.patience, mode=job.mode))
    trainer = lightning.Trainer(
        accelerator="cpu" if recipe.accelerator == "cpu" else "gpu",
        devices=recipe.processes,
        strategy="ddp" if recipe.processes > 1 else "auto",
        precision=recipe.precision,
        max_steps=recipe.steps,
        gradient_clip_val=recipe.optimiser.clip,
        val_check_interval=recipe.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=50,
        callbacks=callbacks,
        logger=TensorBoardLogger(out, name="", version=""),
        enable_model_summary=False,
        enable_progress_bar=watch is None,
    )
    started, code = time.time(), commit()
    trainer.fit(
        job.task,
        DataLoader(job.stream, batch_size=None, num_workers=recipe.workers, pin_memory=recipe.accelerator == "cuda"),
        DataLoader(_Once(), batch_size=None),
        ckpt_path=str(last) if going_on else None,
    )
    if trainer.interrupted:
        raise KeyboardInterrupt
    errors = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    run = {"commit": code, "first_step": first, "minutes": (time.time() - started) / 60, "last": errors}
    _write_card(out, recipe, job.card, root, run)
    return Path(best.best_model_path or last)


class _Watch(Callback):
    """Tells the number of steps done."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.tell = tell

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.tell(trainer.global_step)


class _Once(Dataset[int]):
    """One item: a validation goes through all its sets in one step."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        return index


@rank_zero_only
def _write_card(out: Path, recipe: Run, told: dict[str, Any], root: Path, run: dict[str, Any]) -> None:
    path = out / "card.json"
    earlier = json.loads(path.read_text())["runs"] if path.exists() else []
    card = {
        "recipe": recipe.model_dump(mode="json"),
        **told,
        "command": sys.argv,
        "packages": {
            name: version(name) for name in ("canthus", "torch", "lightning", "numpy", "opencv-python-headless")
        },
        "python": platform.python_version(),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "accelerator": recipe.accelerator},
        "data": {f"{share.name} {share.split}": _hash(root, share) for share in recipe.sets},
        "runs": [*earlier, run],
        "start": [_card_beside(start.checkpoint) for start in recipe.start],
    }
    with replace_whole(path) as temporary:
        temporary.write_text(json.dumps(card, indent=2))


def _card_beside(checkpoint: Path) -> Any:
    """The card of the run that a checkpoint comes from; None without one."""
    card = checkpoint.parent / "card.json"
    return json.loads(card.read_text()) if card.exists() else None


def commit() -> str:
    """The commit that this code is at, with a plus sign when files differ from it; "unknown" outside a checkout."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor()


def _hash(root: Path, share: SetShare) -> str | None:
    """Of the file that holds the labels of a set, where that is one file."""
    folder, split = folder_of(share.name, root), share.split.partition("/")[0]
    files = [path for path in (folder / f"{split}.csv", folder / split / "index.npz") if path.is_file()]
    return hashlib.sha256(files[0].read_bytes()).hexdigest() if files else None
