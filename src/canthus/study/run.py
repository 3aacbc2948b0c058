"""The runs of an ablation: each is trained and measured in a process of its own; finished ones are skipped."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from canthus.data.catalogue import open_set
from canthus.errors import CanthusError, InputError
from canthus.study.plan import CHECKPOINT, Measure, Trial
from canthus.train.run_card import RunCard
from canthus.work.crew import Report, cores
from canthus.work.documents import read_json
from canthus.work.files import replace_whole
from canthus.work.folder import claim
from canthus.work.units import attempt

RECIPE = "recipe.json"
"""The file that keeps the recipe of a run."""


def run_all(
    runs: Sequence[Trial], root: Path, workers: int, watch: Callable[[int], None] = lambda _: None
) -> dict[Path, str]:
    """Train and measure the runs that are not finished.

    Args:
        runs: The runs.
        root: Folder of the data sets.
        workers: Number of runs at once; they share the cores.
        watch: Receives the number of further steps that were trained.

    Returns:
        Runs that failed: folder and reason.

    Raises:
        OutputError: a folder holds a run of another recipe, or cannot be written.
        DataError: a set that is trained or measured on is missing.
    """
    for run in runs:
        claim(run.folder, run.recipe.model_dump(mode="json"), RECIPE)
    check_sets([run for run in runs if not is_done(run)], root)
    threads = max(1, cores() // workers)
    failures: list[tuple[_Unit, Exception]] = []
    alone = [replace(run, measures=tuple(one for one in run.measures if not one.after)) for run in runs]
    first, later = ([run for run in alone if bool(run.recipe.earlier) == follows] for follows in (False, True))
    for some in (first, later, runs):  # a network whose earlier stages are a run of the study follows it
        units = [_Unit(run, root, threads) for run in some if run.folder not in {one.run.folder for one, _ in failures}]
        failures += attempt(units, workers, threads, watch)
    return {unit.run.folder: f"{error}; see {_log(unit.run)}" for unit, error in failures}


def check_sets(runs: Sequence[Trial], root: Path) -> None:
    """Open every set once that is trained or measured on, so that a missing one is noticed before anything is trained.

    Raises:
        DataError: a set is missing or incomplete.
    """
    wanted: dict[str, tuple[str, str, dict[str, str]]] = {}
    for run in runs:
        sets = [(share.name, share.split, share.options) for share in (*run.recipe.sets, *run.recipe.val)]
        sets += [(measure.set, measure.split, measure.options) for measure in run.measures]
        wanted |= {json.dumps(some): some for some in sets}
    for name, split, options in wanted.values():
        open_set(name, root, split, **options)


def steps_left(run: Trial) -> int:
    """Number of steps that a run still needs, for a progress bar; a run that was killed may repeat some."""
    return 0 if is_trained(run) else run.recipe.steps


def is_trained(run: Trial) -> bool:
    """Whether the training of a run has finished."""
    return finished_minutes(run.folder) is not None


def finished_minutes(folder: Path) -> float | None:
    """Minutes of the training in a folder; None = it has not finished."""
    return RunCard.beside(folder / CHECKPOINT).minutes if (folder / CHECKPOINT).is_file() else None


def is_done(run: Trial) -> bool:
    """Whether a run is trained and measured."""
    return is_trained(run) and all(result_of(run.folder, wanted) for wanted in run.measures)


def result_of(folder: Path, wanted: Measure) -> dict[str, Any] | None:
    """The result of a measure on the checkpoint of a run; None = not measured yet."""
    known = _results(folder)
    return next((entry for entry in known if Measure(name=wanted.name, **entry["measure"]) == wanted), None)


def _results(folder: Path) -> list[dict[str, Any]]:
    path, checkpoint = folder / "measured.json", folder / CHECKPOINT
    if not path.is_file() or not checkpoint.is_file():
        return []
    remedy = "remove it to measure the checkpoint again"
    entries: list[dict[str, Any]] = read_json(path, InputError, remedy)
    try:
        return [entry for entry in entries if entry["checkpoint"] == checkpoint.stat().st_mtime_ns]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not a list of measured results; {remedy}") from error


@dataclass(frozen=True)
class _Unit:
    """The unit of work: a run, in a process whose output goes to a log beside the run."""

    run: Trial
    root: Path
    threads: int

    @property
    def finished(self) -> bool:
        return is_done(self.run)

    def make(self, report: Report) -> None:
        with _log(self.run).open("a") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())
            try:
                train_and_measure(self.run, self.root, self.threads, report)
            except CanthusError:
                traceback.print_exc()
                raise
            except Exception as error:
                traceback.print_exc()
                raise CanthusError(f"{type(error).__name__}: {error}") from error


def train_and_measure(run: Trial, root: Path, threads: int, report: Report) -> None:
    """Train a run, or the rest of it, and measure what is not measured yet, in this process.

    Args:
        run: The run; its folder is claimed.
        root: Folder of the data sets.
        threads: Number of threads.
        report: Receives the number of further steps that were trained.
    """
    import torch

    from canthus.study.measure import measure
    from canthus.train.fit import fit

    torch.set_num_threads(threads)
    if not is_trained(run):
        fit(run.recipe, root, run.folder, resume=True, threads=threads, watch=lambda _: report(1))
    checkpoint = run.folder / CHECKPOINT
    entries = _results(run.folder)
    for wanted in run.measures:
        if result_of(run.folder, wanted) is None:
            entry = {"measure": wanted.model_dump(exclude={"name"}), "checkpoint": checkpoint.stat().st_mtime_ns}
            entries.append({**entry, **measure(checkpoint, wanted, root)})
            with replace_whole(run.folder / "measured.json") as part:
                part.write_text(json.dumps(entries, indent=1))


def _log(run: Trial) -> Path:
    return run.folder / "log.txt"
