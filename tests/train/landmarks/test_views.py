"""Faces that lack the points of other views: scheme 103 in the networks of coarse_to_fine, their losses, validation."""

from pathlib import Path
from typing import Any

import pytest
import torch

from canthus.errors import DataError
from canthus.schemes.scheme import Scheme
from canthus.train.job import Post
from canthus.train.landmarks.job import landmarks
from canthus.train.landmarks.system import join
from canthus.train.landmarks.task import Task, validate
from canthus.train.recipe import Recipe, check_recipe

READ = {"scheme": "103", "labels": "outline"}
CONFIGS: dict[str, dict[str, Any]] = {
    "coarse": {"size": 32, "stem": [8, 16], "widths": [24, 24, 24], "hidden": 32},
    "components": {"size": 32, "widths": [4, 8, 8, 16], "hidden": 32},
    "points": {"size": 32, "widths": [8, 8, 8]},
}


def recipe_of(tiny: Recipe, stage: str) -> Recipe:
    fields = {
        "network": "coarse_to_fine",
        "stage": stage,
        "preset": "ablation",
        "config": CONFIGS[stage],
        "scheme": "103",
        "sets": [{"name": "views", "options": READ}],
        "val": [{"name": "views", "split": "val", "options": READ}],
        "measure": "box",
        "emphasis": 0.5,
        "batch": 2,
        "losses": {},
    }
    augment = tiny.augment.model_dump() | {"flip": 0.5}
    return check_recipe(tiny.model_dump(mode="json") | fields | {"augment": augment}, "test")


@pytest.mark.parametrize("stage", CONFIGS)
def test_unknown_points_are_left_out(stage: str, tiny: Recipe, turned: Path, tmp_path: Path) -> None:
    """Losses and gradients are finite; unknown points get no gradient; validation measures the others."""
    torch.manual_seed(0)
    job = landmarks(recipe_of(tiny, stage), Post(turned, tmp_path, 0, 0))
    task = job.task
    assert isinstance(task, Task)
    assert job.arrays["mean"].shape == ((3, 103, 2) if stage == "coarse" else (103, 2))
    batch = next(iter(job.stream))
    unknown = ~torch.isfinite(batch["points"]).all(-1)
    assert unknown.any() and not unknown[:, list(Scheme.open("103").groups["inner"])].any()
    task.log, task.log_dict = lambda *_, **__: None, lambda *_, **__: None  # type: ignore[method-assign, assignment]
    loss = task.training_step(batch, 0)
    loss.backward()
    assert loss.isfinite() and all(one.grad is None or one.grad.isfinite().all() for one in task.net.parameters())
    moved = batch | {"points": torch.where(unknown[..., None], 1e6, batch["points"])}  # far outside is as unknown
    assert task.training_step(moved, 0).item() == pytest.approx(loss.item(), rel=1e-4)
    ((name, samples),) = task.val.items()
    assert name == "views" and len(samples) == 4
    task.net.eval()
    assert 0 < validate(join([task.trained]), samples, "box", start=task.given.get(name)) < 200


def test_a_view_that_no_face_shows_is_named(tiny: Recipe, turned: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny, "coarse")
    few = recipe.model_copy(update={"sets": [recipe.sets[0].model_copy(update={"split": "train/front"})]})
    with pytest.raises(DataError, match="no training face has the plane points of the view 39_left"):
        landmarks(few, Post(turned, tmp_path, 0, 0))
