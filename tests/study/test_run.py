import json
from pathlib import Path

import pytest

from canthus.errors import OutputError
from canthus.study import run as ablate
from canthus.study.plan import Job, Measure
from canthus.study.run import is_done, result_of, run_all, steps_left
from canthus.train.recipe import Recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]
MEASURE = Measure(name="val", set="wild68", split="val")


def job_of(recipe: Recipe, folder: Path, **fields: object) -> Job:
    return Job(folder.name, recipe.model_copy(update={"steps": 6, "validate_every": 3, **fields}), folder, (MEASURE,))


class Told:
    """Stands for the connection to the first process; the run is killed after some steps."""

    def __init__(self, most: int = 1000) -> None:
        self.steps, self.most = 0, most

    def send(self, count: int) -> None:
        self.steps += count
        if self.steps > self.most:
            raise InterruptedError


def test_a_killed_run_goes_on(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    job = job_of(tiny, tmp_path / "run")
    with pytest.raises(InterruptedError):
        ablate._train_and_measure(job, drawn, 1, Told(4))  # type: ignore[arg-type]
    assert not is_done(job)
    told = Told()
    ablate._train_and_measure(job, drawn, 1, told)  # type: ignore[arg-type]
    assert told.steps == 3
    sessions = json.loads((job.folder / "card.json").read_text())["sessions"]
    assert [session["first_step"] for session in sessions] == [0, 3]
    assert is_done(job)
    assert steps_left(job) == 0


def test_runs_in_processes(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """A run that fails stops no other, is reported, and what is done stays as it is."""
    good, bad = job_of(tiny, tmp_path / "good"), job_of(tiny, tmp_path / "bad", config={"no": 1})
    steps: list[int] = []
    failures = run_all([bad, good], drawn, 2, steps.append)
    assert sum(steps) == 6
    assert list(failures) == [bad.folder]
    assert "config of compact" in failures[bad.folder]
    assert "config of compact" in (bad.folder / "log.txt").read_text()
    result = result_of(good.folder, MEASURE)
    assert result is not None
    assert result["faces"] == 4
    before = (good.folder / "last.ckpt").stat().st_mtime_ns
    assert run_all([good], drawn, 2, steps.append) == {}
    assert (good.folder / "last.ckpt").stat().st_mtime_ns == before
    assert sum(steps) == 6


def test_a_folder_keeps_its_recipe(tiny: Recipe, tmp_path: Path) -> None:
    ablate._claim(job_of(tiny, tmp_path / "run"))
    ablate._claim(job_of(tiny, tmp_path / "run"))
    with pytest.raises(OutputError, match=r"a run of another recipe \(batch, seed differ\)"):
        run_all([job_of(tiny, tmp_path / "run", batch=4, seed=9)], tmp_path, 1)
    (tmp_path / "run/recipe.json").write_text("{")
    with pytest.raises(OutputError, match=r"recipe\.json: .*remove the folder"):
        run_all([job_of(tiny, tmp_path / "run")], tmp_path, 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/last.ckpt").touch()
    with pytest.raises(OutputError, match="no part of an ablation"):
        run_all([job_of(tiny, tmp_path / "other")], tmp_path, 1)
