from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.data.catalogue import open_set
from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError, RecipeError
from canthus.geometry.crop import box_of
from canthus.nets.losses import target_of
from canthus.train.fit import fit
from canthus.train.landmarks.job import build
from canthus.train.landmarks.pool import load_pool
from canthus.train.landmarks.system import Trained, join, load_trained
from canthus.train.landmarks.teacher import Teacher, boxed_by
from canthus.train.recipe import Distillation, Recipe
from canthus.train.run_card import RunCard

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]


@pytest.fixture(scope="module")
def checkpoint(drawn: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that knows the drawn faces."""
    out = tmp_path_factory.mktemp("teacher")
    return fit(tiny.model_copy(update={"steps": 250, "validate_every": 250}), drawn, out)


@pytest.fixture(scope="module")
def known(checkpoint: Path) -> Trained:
    return load_trained(checkpoint)[0]


def unlabelled(drawn: Path, split: str) -> list[Sample]:
    """The drawn faces with loose boxes in place of landmarks."""
    nothing = np.zeros((0, 2), np.float32)
    return [
        replace(sample, points=nothing, scheme=NO_POINTS, box=box_of(sample.points) + np.float32([-4, -2, 5, 3]))
        for sample in open_set("wild68", drawn, split)
    ]


def settings(checkpoint: Path, **fields: float) -> Distillation:
    return Distillation.model_validate({"checkpoint": checkpoint, **fields})


def batch_of(size: int, points: torch.Tensor) -> dict[str, torch.Tensor]:
    count = len(points)
    unknown = torch.full((count, 68), torch.nan)
    zeros = torch.zeros(count, dtype=torch.int64)
    crops = torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8)
    rest = {"depth": unknown, "visible": unknown, "pose": torch.full((count, 3), torch.nan)}
    return {"crops": crops, "points": points, "scheme": zeros, "group": zeros, **rest}


@pytest.mark.parametrize("size", [32, 64])
def test_answers_are_in_pixels_of_the_crops_given(known: Trained, checkpoint: Path, size: int) -> None:
    """The teacher sees its own size, whatever the crop's; the same picture twice as large has points twice as far."""
    teacher = Teacher(known, settings(checkpoint), "68", 1.3)
    torch.manual_seed(0)
    small = torch.nn.functional.interpolate(torch.rand(2, 3, 4, 4), (32, 32), mode="bicubic").clamp(0, 1) - 0.5
    with torch.no_grad():
        direct = known.net(small).points
    crops = small if size == 32 else torch.nn.functional.interpolate(small, (64, 64), mode="bilinear")
    found = teacher.answer(crops).points
    assert (((found + 0.5) * 32 / size - 0.5) - direct).abs().mean() < 0.5
    if size == 32:
        torch.testing.assert_close(found, direct)


def test_the_teacher_takes_the_place_of_unknown_labels(known: Trained, checkpoint: Path, tiny: Recipe) -> None:
    """Without labels the gradient comes from the teacher alone; with weight 1 labels count for the spread alone."""
    student = build(tiny.model_copy(update={"seed": 5}), "68", {})
    batch = batch_of(32, torch.full((3, 68, 2), torch.nan))
    crops = batch["crops"].permute(0, 3, 1, 2).float() / 255 - 0.5
    prediction, target = student.net(crops), target_of(batch)
    own = student.network.loss(prediction, target, tiny.losses)
    assert float(own["point"].detach().sum()) == 0
    both = Teacher(known, settings(checkpoint), "68", 1.3).add(
        own, crops, prediction, target, student.network, tiny.losses
    )
    assert {"point", "teacher_point", "teacher_heat", "teacher_spread"} <= both.keys()
    assert float(both["teacher_point"].detach().min()) > 0
    torch.stack([value.mean() for value in both.values()]).sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.net.parameters())
    assert all(p.grad is None or not p.grad.abs().sum() > 0 for p in known.net.parameters())

    labelled = batch_of(32, torch.rand(3, 68, 2) * 30)
    target = target_of(labelled)
    own = student.network.loss(prediction, target, tiny.losses)
    alone = Teacher(known, settings(checkpoint, weight=1.0), "68", 1.3).add(
        own, crops, prediction, target, student.network, tiny.losses
    )
    assert float(alone["point"].detach().sum()) == float(alone["heat"].detach().sum()) == 0
    assert torch.equal(alone["spread"], own["spread"])


def test_a_teacher_that_does_not_fit_is_refused(known: Trained, checkpoint: Path) -> None:
    with pytest.raises(RecipeError, match=r"scheme 68 and crop margin 1\.3, the network has 68 and 1\.5"):
        Teacher(known, settings(checkpoint), "68", 1.5)


def test_pictures_without_landmarks_get_boxes(known: Trained, drawn: Path) -> None:
    """Those of the points that the teacher finds, from loose boxes; what has landmarks stays as it is."""
    samples = unlabelled(drawn, "train")
    system = join([known])
    found = boxed_by(samples, system, "faces")
    truth = np.stack([box_of(sample.points) for sample in open_set("wild68", drawn, "train")])
    given = np.stack([sample.box for sample in samples])
    boxes = np.stack([sample.box for sample in found])
    assert np.abs(boxes - truth).mean() < 0.5 * np.abs(given - truth).mean()
    assert all(sample.scheme == "68" and np.isnan(sample.points).all() for sample in found)
    plain = list(open_set("wild68", drawn, "train"))
    assert boxed_by(plain, None, "faces") == plain
    with pytest.raises(DataError, match="faces: its pictures have no landmarks to learn from; name a `teacher`"):
        boxed_by(samples, None, "faces")
    with pytest.raises(DataError, match="neither landmarks nor boxes"):
        boxed_by([replace(sample, box=None) for sample in samples], system, "faces")


def test_a_network_learns_from_a_teacher_alone(
    checkpoint: Path, drawn: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures without a single label; its checkpoint holds nothing of the teacher, its card names it."""

    def opened(name: str, root: Path, split: str, **options: str) -> list[Sample]:
        return unlabelled(drawn, split) if split == "train" else list(open_set(name, root, split))

    for module in ("pool", "job"):
        monkeypatch.setattr(f"canthus.train.landmarks.{module}.open_set", opened)
    update = {"teacher": settings(checkpoint, weight=1.0), "steps": 250, "validate_every": 250, "seed": 3}
    best = fit(tiny.model_copy(update=update), drawn, tmp_path)
    learnt, taught = (RunCard.beside(path).sessions[-1].last["val/wild68"] for path in (best, checkpoint))
    assert learnt < max(1.5 * taught, taught + 3)
    state = torch.load(best, weights_only=True)["state_dict"]
    assert all(name.startswith("net.") for name in state)
    assert RunCard.beside(best).lineage()["teacher"][0]["recipe"]["name"] == "tiny"


def test_faces_without_labels_are_drawn_like_usual_ones(
    known: Trained, drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(name: str, root: Path, split: str, **options: str) -> list[Sample]:
        return [*list(open_set(name, root, split))[:4], *unlabelled(drawn, split)[4:]]

    monkeypatch.setattr("canthus.train.landmarks.pool.open_set", opened)
    pool = load_pool(tiny.model_copy(update={"emphasis": 1.0}), drawn, 1.3, join([known]))
    assert np.isfinite(pool.chance).all() and pool.schemes == ("68",)
    assert np.isnan(pool.points).all((1, 2)).tolist() == [False] * 4 + [True] * 4
