from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.data.catalogue import open_set
from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError, RecipeError
from canthus.geometry.crop import box_of
from canthus.nets.compact import Prediction
from canthus.nets.losses import target_of
from canthus.schemes.scheme import Scheme
from canthus.train.fit import fit
from canthus.train.landmarks.job import build, teacher_of
from canthus.train.landmarks.pool import load_pool
from canthus.train.landmarks.system import Trained, join, load_trained
from canthus.train.landmarks.teacher import Answers, boxed_by, distilled
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
    return fit(tiny.model_copy(update={"steps": 800, "validate_every": 800}), drawn, out)


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


def shifted(samples: list[Sample], factor: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The pictures of faces, enlarged, and the boxes of the faces in them."""
    images = [np.repeat(np.repeat(sample.picture(), factor, 0), factor, 1) for sample in samples]
    boxes = np.stack([box_of(sample.points) for sample in samples])
    return images, ((boxes + 0.5) * factor - 0.5).astype(np.float32)


@pytest.mark.parametrize("factor", [1, 3])
def test_answers_are_in_pixels_of_the_pictures(known: Trained, drawn: Path, factor: int) -> None:
    """A picture three times as large has points and spreads three times as far, near the labels."""
    samples = list(open_set("wild68", drawn, "train"))
    found = Answers.of(known, *shifted(samples, factor))
    truth = np.stack([sample.points for sample in samples])
    error = np.abs((found.points + 0.5) / factor - 0.5 - truth).mean()
    assert error < 0.06 * (box_of(truth)[:, 2:] - box_of(truth)[:, :2]).mean()
    once = Answers.of(known, *shifted(samples, 1))
    assert np.median(found.spread / once.spread) == pytest.approx(factor, rel=0.15)


def test_answers_of_mirrored_faces_are_mirrored(known: Trained, drawn: Path) -> None:
    images, boxes = shifted(list(open_set("wild68", drawn, "train")), 1)
    width = images[0].shape[1]
    there = Answers.of(known, images, boxes)
    turned = boxes[:, [2, 1, 0, 3]] * np.float32([-1, 1, -1, 1]) + np.float32([width - 1, 0, width - 1, 0])
    back = Answers.of(known, [image[:, ::-1] for image in images], turned)
    mirror = Scheme.open("68").mirror
    np.testing.assert_allclose(
        back.points[:, mirror] * np.float32([-1, 1]) + np.float32([width - 1, 0]), there.points, atol=1.0
    )
    np.testing.assert_allclose(back.spread[:, mirror], there.spread, rtol=0.1)


def batch_of(points: torch.Tensor, taught: torch.Tensor, spread: float, weight: float) -> dict[str, torch.Tensor]:
    count = len(points)
    unknown = torch.full((count, 68), torch.nan)
    zeros = torch.zeros(count, dtype=torch.int64)
    crops = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8)
    rest = {"depth": unknown, "visible": unknown, "pose": torch.full((count, 3), torch.nan)}
    answers = {
        "taught": taught,
        "taught_spread": torch.full((count, 68), spread),
        "teaching": torch.full((count,), weight),
    }
    return {"crops": crops, "points": points, "view": zeros, "turn": zeros, "given": points[:, :0], **rest, **answers}


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_the_teacher_takes_the_place_of_unknown_labels(tiny: Recipe, weight: float) -> None:
    """Without labels the losses come from the teacher alone; with weight 1 labels count for nothing."""
    student, losses = build(tiny, "68", {}), tiny.losses
    taught = torch.rand(3, 68, 2) * 30
    for labels in (torch.full((3, 68, 2), torch.nan), torch.rand(3, 68, 2) * 30):
        batch = batch_of(labels, taught, 0.4, weight)
        prediction = student.net(batch["crops"].permute(0, 3, 1, 2).float() / 255 - 0.5)
        own = student.network.loss(prediction, target_of(batch), losses)
        both = distilled(own, prediction, batch, student.network, losses)
        theirs = student.network.loss(prediction, target_of(batch | {"points": taught}), losses)
        for name in ("point", "heat"):
            torch.testing.assert_close(both[name], (1 - weight) * own[name])
            torch.testing.assert_close(both[f"teacher_{name}"], weight * theirs[name])
        assert torch.equal(both["pose"], own["pose"]) and "teacher_pose" not in both


def test_the_spread_of_the_teacher_is_learnt_where_the_points_agree(tiny: Recipe) -> None:
    """The loss is least at the teacher's spread where the points are the teacher's, and at a larger one elsewhere."""
    student, losses = build(tiny, "68", {}), tiny.losses
    taught = torch.rand(1, 68, 2) * 20 + 5
    batch = batch_of(torch.full((1, 68, 2), torch.nan), taught, 0.8, 1.0)
    spreads = torch.linspace(-5, 0, 400)

    def best(points: torch.Tensor) -> float:
        values = []
        for spread in spreads:
            prediction = Prediction(torch.zeros(1, 68, 8, 8), points, spread.expand(1, 68), torch.zeros(1, 3))
            own = student.network.loss(prediction, target_of(batch), losses)
            values.append(distilled(own, prediction, batch, student.network, losses)["teacher_spread"])
        return float(spreads[torch.stack(values).argmin()].exp() * 32)

    assert best(taught) == pytest.approx(0.8, rel=0.02)
    assert best(taught + torch.tensor([3.0, 0.0])) == pytest.approx(np.hypot(3.0, 1.6) / 2, rel=0.02)


def test_a_teacher_of_another_scheme_is_refused(checkpoint: Path, tiny: Recipe) -> None:
    with pytest.raises(RecipeError, match=r"has the scheme 68; set `scheme` to the same"):
        teacher_of(tiny.model_copy(update={"teacher": settings(checkpoint), "scheme": "51"}))


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

    monkeypatch.setattr("canthus.train.landmarks.pool.open_set", opened)
    update = {
        "teacher": settings(checkpoint, weight=1.0),
        "scheme": "68",
        "steps": 250,
        "validate_every": 250,
        "seed": 3,
    }
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
    pool = load_pool(tiny.model_copy(update={"emphasis": 1.0}), drawn, 1.3, known)
    assert pool.taught is not None and np.isfinite(pool.taught.points).all()
    assert np.isfinite(pool.chance).all() and pool.scheme == "68"
    assert np.isnan(pool.points).all((1, 2)).tolist() == [False] * 4 + [True] * 4
