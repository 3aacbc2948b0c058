import json
from pathlib import Path

import pytest

from canthus.errors import DataError, OutputError
from canthus.study.plan import Measure, Trial
from canthus.study.run import RECIPE, is_done, result_of, run_all, steps_left, train_and_measure
from canthus.train.recipe import Recipe
from canthus.work.folder import claim

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]
MEASURE = Measure(name="val", set="wild68", split="val")


def run_of(recipe: Recipe, folder: Path, **fields: object) -> Trial:
    return Trial(folder.name, recipe.model_copy(update={"steps": 6, "validate_every": 3, **fields}), folder, (MEASURE,))


class Steps:
    """Counts the steps that are reported; the run is killed after some of them."""

    def __init__(self, most: int = 1000) -> None:
        self.steps, self.most = 0, most

    def __call__(self, count: int) -> None:
        self.steps += count
        if self.steps > self.most:
            raise InterruptedError


def test_a_killed_run_goes_on(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    run = run_of(tiny, tmp_path / "run")
    claim(run.folder, run.recipe.model_dump(mode="json"), RECIPE)
    with pytest.raises(InterruptedError):
        train_and_measure(run, drawn, 1, Steps(4))
    assert not is_done(run)
    steps = Steps()
    train_and_measure(run, drawn, 1, steps)
    assert steps.steps == 3
    sessions = json.loads((run.folder / "card.json").read_text())["sessions"]
    assert [session["first_step"] for session in sessions] == [0, 3]
    assert is_done(run)
    assert steps_left(run) == 0


def test_runs_in_processes(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    """A run that fails stops no other, is reported, and what is done stays as it is."""
    good, bad = run_of(tiny, tmp_path / "good"), run_of(tiny, tmp_path / "bad", config={"no": 1})
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
    for _ in range(2):
        with pytest.raises(DataError, match="wild68"):
            run_all([run_of(tiny, tmp_path / "run")], tmp_path / "none", 1)
    with pytest.raises(OutputError, match=r"other settings \(batch, seed differ, see recipe\.json\)"):
        run_all([run_of(tiny, tmp_path / "run", batch=4, seed=9)], tmp_path, 1)
    (tmp_path / "run/recipe.json").write_text("{")
    with pytest.raises(OutputError, match=r"recipe\.json: .*remove the folder"):
        run_all([run_of(tiny, tmp_path / "run")], tmp_path, 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/last.ckpt").touch()
    with pytest.raises(OutputError, match="holds no run"):
        run_all([run_of(tiny, tmp_path / "other")], tmp_path, 1)
