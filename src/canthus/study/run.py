"""The runs of an ablation: each in a process of its own, several at once; what is done is not done again."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from canthus.errors import CanthusError, OutputError, RecipeError
from canthus.study.plan import Job, Measure
from canthus.train.recipe import Recipe, check_recipe, cores
from canthus.train.run_card import RunCard
from canthus.work.files import replace_whole

CHECKPOINT = "last.ckpt"
"""What is measured: the end of the run, so that nothing was chosen by a validation set."""


def run_all(
    jobs: Sequence[Job], root: Path, workers: int, watch: Callable[[int], None] = lambda _: None
) -> dict[Path, str]:
    """Train and measure what is not done yet.

    Args:
        jobs: The runs.
        root: Folder of the data sets.
        workers: Runs at once; they share the cores.
        watch: Told how many more steps are done.

    Returns:
        What failed: folder of the run and reason.

    Raises:
        OutputError: a folder holds a run of another recipe, or cannot be written.
    """
    for job in jobs:
        _claim(job)
    waiting = [job for job in jobs if not is_done(job)]
    failures: dict[Path, str] = {}
    running: dict[Connection, tuple[Job, BaseProcess]] = {}
    context, threads = get_context("spawn"), max(1, cores() // workers)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                here, there = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(job, root, threads, there))
                process.start()
                there.close()
                running[here] = job, process
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                job, worker = running[connection]
                try:
                    told = connection.recv()
                except EOFError:
                    worker.join()
                    del running[connection]
                    if worker.exitcode:
                        failures.setdefault(job.folder, f"ended with code {worker.exitcode}; see {_log(job)}")
                    continue
                if isinstance(told, int):
                    watch(told)
                else:
                    failures[job.folder] = told
    finally:
        for _, worker in running.values():
            worker.terminate()
            worker.join()
    return failures


def steps_left(job: Job) -> int:
    """Steps that a run still needs, for the progress bar; one that was killed may have to repeat some."""
    return 0 if is_trained(job) else job.recipe.steps


def is_trained(job: Job) -> bool:
    """Whether a run has come to its end."""
    return finished_minutes(job.folder) is not None


def finished_minutes(folder: Path) -> float | None:
    """Duration of the training in a folder; None = it has not come to its end."""
    return RunCard.beside(folder / CHECKPOINT).minutes if (folder / CHECKPOINT).is_file() else None


def is_done(job: Job) -> bool:
    """Whether a run has come to its end and is measured."""
    return is_trained(job) and all(result_of(job.folder, wanted) for wanted in job.measures)


def result_of(folder: Path, wanted: Measure) -> dict[str, Any] | None:
    """What a run's checkpoint was measured at; None = not yet."""
    known = _results(folder)
    return next((entry for entry in known if entry["measure"] == wanted.model_dump(exclude={"name"})), None)


def _results(folder: Path) -> list[dict[str, Any]]:
    path, checkpoint = folder / "measured.json", folder / CHECKPOINT
    if not path.is_file() or not checkpoint.is_file():
        return []
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return [entry for entry in entries if entry["checkpoint"] == checkpoint.stat().st_mtime_ns]


def _claim(job: Job) -> None:
    """Note in the folder which recipe runs there, so that no other one goes on in it."""
    path = job.folder / "recipe.json"
    if not path.is_file():
        if (job.folder / CHECKPOINT).exists():
            raise OutputError(f"{job.folder} holds a run that is no part of an ablation; choose another --out")
        with replace_whole(path) as part:
            part.write_text(job.recipe.model_dump_json(indent=1))
        return
    try:
        there = check_recipe(json.loads(path.read_text()), str(path))
    except (ValueError, RecipeError) as error:
        raise OutputError(f"{path}: {error}; remove the folder, or choose another --out") from error
    if fields := [name for name in Recipe.model_fields if getattr(there, name) != getattr(job.recipe, name)]:
        raise OutputError(
            f"{job.folder} holds a run of another recipe ({', '.join(fields)} differ); "
            "remove the folder, or choose another --out"
        )


def _work(job: Job, root: Path, threads: int, tell: Connection) -> None:
    """Train and measure in a process of its own; what it prints goes to a log beside the run."""
    with _log(job).open("a") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
        try:
            _train_and_measure(job, root, threads, tell)
        except (KeyboardInterrupt, BrokenPipeError):  # nobody listens any more
            sys.exit(130)
        except CanthusError as error:
            traceback.print_exc()
            tell.send(str(error))
            sys.exit(1)
        except Exception as error:
            traceback.print_exc()
            tell.send(f"{type(error).__name__}: {error}; see {_log(job)}")
            sys.exit(1)


def _train_and_measure(job: Job, root: Path, threads: int, tell: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    from canthus.study.measure import measure
    from canthus.train.fit import fit

    torch.set_num_threads(threads)
    if not is_trained(job):
        fit(job.recipe, root, job.folder, resume=True, threads=threads, watch=lambda _: tell.send(1))
    checkpoint = job.folder / CHECKPOINT
    entries = _results(job.folder)
    for wanted in job.measures:
        if result_of(job.folder, wanted) is None:
            entry = {"measure": wanted.model_dump(exclude={"name"}), "checkpoint": checkpoint.stat().st_mtime_ns}
            entries.append({**entry, **measure(checkpoint, wanted, root)})
            with replace_whole(job.folder / "measured.json") as part:
                part.write_text(json.dumps(entries, indent=1))


def _log(job: Job) -> Path:
    return job.folder / "log.txt"
