"""Training steps weighted by trust, and validation through the shipped stages."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from canthus.align.estimate import Estimate
from canthus.align.stage import Stage, System
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.geometry.crop import Crop, box_frames, box_of, unit_mean
from canthus.nets.losses import target_of
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.job import build
from canthus.train.landmarks.loader import Stream
from canthus.train.landmarks.pool import load_pool
from canthus.train.landmarks.system import Trained
from canthus.train.landmarks.task import Task, validate
from canthus.train.recipe import Recipe

INNER = list(Scheme.open("68").groups["inner"])


class Logged(dict[str, float]):
    """Takes the place of a task's log."""

    def one(self, name: str, value: Any, **_: Any) -> None:
        self[name] = float(value)

    def several(self, values: Mapping[str, Any], **_: Any) -> None:
        self.update({name: float(value) for name, value in values.items()})


def logged(task: Task) -> Logged:
    """What a task logs from now on."""
    log = Logged()
    task.log, task.log_dict = log.one, log.several  # type: ignore[method-assign, assignment]
    return log


@pytest.fixture(scope="module")
def trained(tiny: Recipe, drawn: Path) -> Trained:
    torch.manual_seed(0)
    mean = unit_mean(np.stack([sample.points for sample in open_set("wild68", drawn, "train")]))
    made = build(tiny, "68", {"mean": mean})
    made.net.eval()
    return made


@pytest.fixture(scope="module")
def val(drawn: Path) -> list[Sample]:
    return list(open_set("wild68", drawn, "val"))


def test_the_loss_of_a_batch_is_weighted_by_trust(trained: Trained, drawn: Path, tiny: Recipe) -> None:
    """Labels of a quarter of the trust weigh a quarter; the sum of the weights does not matter."""
    pool = load_pool(tiny, drawn, 1.3)
    batch = Stream(pool, tiny, box_frames(box_of(pool.points))[:, None], 1.3).batch(0)
    task = Task(trained, {})
    log = logged(task)
    crops = batch["crops"].permute(0, 3, 1, 2).float() / 255 - 0.5
    each = trained.network.loss(trained.net(crops), target_of(batch), tiny.losses)  # of each face
    weights = np.array([1, 1, 0.25, 0.25, 1, 1, 0, 0])
    for factor in (1.0, 5.0):
        batch["trust"] = torch.tensor(factor * weights, dtype=torch.float32)
        total = task.training_step(batch, 0)
        expected = {name: np.average(value.detach().numpy(), weights=weights) for name, value in each.items()}
        assert total.item() == pytest.approx(sum(expected.values()), rel=1e-5)
        assert log["loss"] == total.item()
        for name, value in expected.items():
            assert log[f"loss/{name}"] == pytest.approx(value, rel=1e-5)


def shifted(by: float, scheme: str = "68", name: str = "shifted") -> System:
    """One stage that finds the points that it is given, moved to the right; without any it finds the same noise."""
    noise = np.random.default_rng(0).uniform(0, 120, (Scheme.open(scheme).count, 2)).astype(np.float32)

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        points = np.stack([noise] * len(view)) if estimate is None else estimate.points
        return Estimate.of_points(np.nan_to_num(points) + np.float32([by, 0]))

    return System(name, scheme, [Stage("any", Crop(32, 1.3), solve)])


def test_validation_from_labels_and_from_earlier_stages(trained: Trained, val: list[Sample]) -> None:
    """v_gt starts from the labels, v_real from what the earlier stages find; the first set decides."""
    sets = {"one": val, "two": val[:2]}
    log = logged(task := Task(trained, sets))
    task.validation_step(None, 0)
    assert log.keys() == {"val/one", "val/two", "val/nme"} and log["val/nme"] == log["val/one"] != log["val/two"]
    whole = logged(task := Task(trained, sets, earlier=shifted(0.0)))
    task.validation_step(None, 0)
    assert whole.keys() == {"val/one", "val/two", "val_real/one", "val_real/two", "val/nme"}
    assert whole["val/one"] == log["val/one"] and whole["val/nme"] == whole["val_real/one"]
    assert whole["val_real/one"] > whole["val/one"] + 10, "noise is no start"


def test_a_network_is_left_in_the_mode_that_it_had(trained: Trained, val: list[Sample]) -> None:
    logged(task := Task(trained, {"one": val}))
    for mode in (True, False):
        trained.net.train(mode)
        task.validation_step(None, 0)
        assert trained.net.training == mode


def test_errors_are_over_the_normaliser(val: list[Sample]) -> None:
    """All points are 3 px off: the mean over faces of 3 px over the distance of the outer eye corners."""
    points = np.stack([sample.points for sample in val])
    distance = np.linalg.norm(points[:, 36] - points[:, 45], axis=1)
    expected = 100 * np.mean(3 / distance)
    assert validate(shifted(3.0), val, "inter-ocular") == pytest.approx(expected, rel=1e-5)
    sides = np.ptp(points, axis=1)
    expected = 100 * np.mean(3 / np.sqrt(sides.prod(1)))
    assert validate(shifted(3.0), val, "box") == pytest.approx(expected, rel=1e-5)


def test_unknown_labels_are_left_out(val: list[Sample]) -> None:
    """So is a face whose normaliser is not known; without any face the error is NaN."""

    def without(sample: Sample, *unknown: int) -> Sample:
        points = sample.points.copy()
        points[list(unknown)] = np.nan
        return replace(sample, points=points)

    some = [without(val[0], *range(17)), without(val[1], 36), val[2]]
    points = np.stack([val[0].points, val[2].points])
    expected = 100 * np.mean(3 / np.linalg.norm(points[:, 36] - points[:, 45], axis=1))
    assert validate(shifted(3.0), some, "inter-ocular") == pytest.approx(expected, rel=1e-5)
    assert np.isnan(validate(shifted(3.0), some[1:2], "inter-ocular"))


def test_labels_of_another_scheme_are_converted(val: list[Sample]) -> None:
    """68 points to the 51 of a system; and 51 points to a system of 68, whose jaw line is not measured."""
    points = np.stack([sample.points for sample in val])
    expected = 100 * np.mean(3 / np.linalg.norm(points[:, 36] - points[:, 45], axis=1))
    assert validate(shifted(3.0, "51"), val, "inter-ocular") == pytest.approx(expected, rel=1e-5)
    few = [replace(sample, points=sample.points[INNER], scheme="51") for sample in val]
    assert validate(shifted(3.0), few, "inter-ocular") == pytest.approx(expected, rel=1e-5)
