"""Losses of detection networks against formulas written out, and what each of them leaves alone."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from canthus.nets.detection import face_score
from canthus.nets.detection.cells import assign, cells
from canthus.nets.detection.detector import DetectorLosses, Found, decode, loss, loss_of_cells
from canthus.nets.detection.face_score import FaceScoreLosses, Prediction
from canthus.nets.detection.losses import focal_loss, overlap_loss

SIDE = 96


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.9, 1.3)])
def test_focal_loss_is_equation_5(alpha: float, gamma: float) -> None:
    """FL(p) = -alpha_t (1 - p_t)^gamma log(p_t), in double precision."""
    logits = np.linspace(-6, 6, 25)
    for truth in (0.0, 1.0):
        chance = 1 / (1 + np.exp(-logits))
        right, weight = (chance, alpha) if truth else (1 - chance, 1 - alpha)
        expected = -weight * (1 - right) ** gamma * np.log(right)
        found = focal_loss(torch.from_numpy(logits), torch.full((25,), truth, dtype=torch.float64), alpha, gamma)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def giou(a: np.ndarray, b: np.ndarray) -> float:
    """Generalised intersection over union by counting the cells of a grid."""
    ys, xs = np.mgrid[:80, :80] + 0.5
    inside = [(xs > x0) & (xs < x1) & (ys > y0) & (ys < y1) for x0, y0, x1, y1 in (a, b)]
    union = (inside[0] | inside[1]).sum()
    low, high = np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])
    hull = np.prod(high - low)
    return float((inside[0] & inside[1]).sum() / union - (hull - union) / hull)


def test_overlap_loss_is_the_share_of_pixels(rng: np.random.Generator) -> None:
    """Boxes on whole pixels, apart, crossing and one in the other; a gradient draws boxes that are apart together."""
    corners = rng.integers(0, 40, (40, 2, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 40, (40, 2, 2))], -1).astype(np.float32)  # (40, 2, 4)
    expected = [1 - giou(a, b) for a, b in boxes]
    found = overlap_loss(torch.from_numpy(boxes[:, 0]), torch.from_numpy(boxes[:, 1]))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    apart = torch.tensor([[0.0, 0, 4, 4]], requires_grad=True)
    overlap_loss(apart, torch.tensor([[20.0, 0, 24, 4]])).sum().backward()
    assert apart.grad is not None and apart.grad[0, 2] < 0


def scene() -> tuple[Found, dict[str, Tensor]]:
    """Random predictions for two pictures, of which one shows two faces and the other one."""
    generator = torch.Generator().manual_seed(2)
    centre, _ = cells(SIDE, SIDE)
    count = len(centre)
    boxes = torch.full((2, 2, 4), math.nan)
    boxes[0] = torch.tensor([[10.0, 12, 40, 44], [50, 40, 90, 85]])
    boxes[1, 0] = torch.tensor([20.0, 20, 80, 84])
    points = boxes[..., :2][:, :, None] + 20 * torch.rand(2, 2, 5, 2, generator=generator)
    rolls = torch.tensor([[30.0, -170], [5, math.nan]])
    half = 10 + 30 * torch.rand(2, count, 2, generator=generator)
    found = Found(
        torch.randn(2, count, generator=generator).requires_grad_(),
        torch.cat([centre - half, centre + half], -1).requires_grad_(),
        (SIDE * torch.rand(2, count, 5, 2, generator=generator)).requires_grad_(),
        torch.randn(2, count, 2, generator=generator).requires_grad_(),
    )
    return found, {"pictures": torch.zeros(2, SIDE, SIDE, 3), "boxes": boxes, "points": points, "rolls": rolls}


def test_losses_of_the_detector_cell_by_cell() -> None:
    """Against a loop over cells: sums over those that predict a face, over their number."""
    found, batch = scene()
    settings = DetectorLosses(score=1, box=1, point=1, turn=1)
    given, found = found, Found(*(part.detach() for part in found))
    assigned = assign(*cells(SIDE, SIDE), batch["boxes"])
    wanted = {"score": 0.0, "box": 0.0, "point": 0.0, "turn": 0.0}
    for row, cell in np.ndindex(2, found.score.shape[1]):
        positive = bool(assigned.positive[row, cell])
        if assigned.counted[row, cell]:
            p = 1 / (1 + math.exp(-found.score[row, cell].item()))
            wanted["score"] -= 0.25 * (1 - p) ** 2 * math.log(p) if positive else 0.75 * p**2 * math.log(1 - p)
        if positive:
            face = int(assigned.face[row, cell])
            box, points, roll = (batch[name][row, face].double() for name in ("boxes", "points", "rolls"))
            wanted["box"] += float(overlap_loss(found.box[row, cell].double()[None], box[None])[0])
            error = (found.points[row, cell].double() - points).abs() / max(box[2] - box[0], box[3] - box[1])
            smooth = torch.where(error < 0.05, 0.5 * error**2 / 0.05, error - 0.025)
            wanted["point"] += float(smooth.mean()) / 0.05
            angle = torch.deg2rad(roll)
            error = (found.turn[row, cell].double() - torch.stack([angle.sin(), angle.cos()])).abs()
            wanted["turn"] += float(torch.where(error < 0.1, 0.5 * error**2 / 0.1, error - 0.05).sum())
    count = int(assigned.positive.sum())
    for name, value in loss_of_cells(given, batch, settings).items():
        assert value.item() == pytest.approx(wanted[name] / count, rel=1e-5), name


def test_cells_without_a_face_train_nothing_but_their_score() -> None:
    found, batch = scene()
    sum(loss_of_cells(found, batch, DetectorLosses()).values()).backward()
    assigned = assign(*cells(SIDE, SIDE), batch["boxes"])
    ignored = ~assigned.counted
    assert ignored.any() and (found.score.grad[ignored] == 0).all() and (found.score.grad[~ignored] != 0).all()
    for part in (found.box, found.points, found.turn):
        gradient = part.grad.flatten(2).abs().sum(-1)
        assert (gradient[~assigned.positive] == 0).all() and (gradient[assigned.positive] > 0).all()


def test_unknown_points_and_rolls_cost_nothing() -> None:
    """The mean goes over the points that are known; a face with neither trains score and box alone."""
    found, batch = scene()
    batch["points"][0, 0, 1:] = math.nan
    batch["points"][0, 1] = batch["rolls"][0, 1] = math.nan
    losses = loss_of_cells(found, batch, DetectorLosses())
    sum(losses.values()).backward()
    assigned = assign(*cells(SIDE, SIDE), batch["boxes"])
    first, second = (assigned.positive[0] & (assigned.face[0] == face) for face in (0, 1))
    assert all(value.isfinite() for value in losses.values()) and first.any() and second.any()
    assert (found.points.grad[0, first, 0] != 0).all() and (found.points.grad[0, first, 1:] == 0).all()
    assert (found.points.grad[0, second] == 0).all() and (found.turn.grad[0, second] == 0).all()
    assert (found.box.grad[0, second].abs().sum(-1) > 0).all()


@pytest.mark.parametrize("name", ["score", "box", "point", "turn"])
def test_weights_of_the_detector_scale_their_losses(name: str) -> None:
    found, batch = scene()
    before = loss_of_cells(found, batch, DetectorLosses())
    settings = DetectorLosses()
    after = loss_of_cells(found, batch, settings.model_copy(update={name: 3 * getattr(settings, name)}))
    assert scaled_alone(before, after, 3.0) == {name}


def scaled_alone(before: Mapping[str, Tensor], after: Mapping[str, Tensor], factor: float) -> set[str]:
    """Names of the losses that are a factor times what they were; the others must not have changed."""
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    for name in changed:
        torch.testing.assert_close(after[name], factor * before[name])
    return changed


def test_the_loss_of_maps_is_that_of_their_cells() -> None:
    _, batch = scene()
    generator = torch.Generator().manual_seed(1)
    maps = tuple(torch.randn(2, 17, SIDE // stride, SIDE // stride, generator=generator) for stride in (8, 16, 32))
    ours, cell = (of(given, batch, DetectorLosses()) for of, given in ((loss, maps), (loss_of_cells, decode(maps))))
    assert all(torch.equal(ours[name], cell[name]) for name in cell)


def crops() -> tuple[Prediction, dict[str, Tensor]]:
    """Random predictions for six crops, of which two show a face."""
    generator = torch.Generator().manual_seed(4)
    face = torch.tensor([1.0, 0, 0, 1, 0, 0])
    box, points = torch.randn(6, 4, generator=generator), torch.randn(6, 5, 2, generator=generator)
    truth = {"face": face, "box": box.clone(), "points": points.clone()}
    truth["box"][face == 0], truth["points"][face == 0] = math.nan, math.nan
    prediction = Prediction(
        torch.randn(6, generator=generator).requires_grad_(),
        (box + 0.3 * torch.randn(6, 4, generator=generator)).requires_grad_(),
        (points + 0.3 * torch.randn(6, 5, 2, generator=generator)).requires_grad_(),
    )
    return prediction, truth


def test_losses_of_the_face_score() -> None:
    """Faces and other crops weigh half each; boxes and points are those of faces alone, in tenths of a crop."""
    prediction, batch = crops()
    found = face_score.loss(prediction, batch, FaceScoreLosses(score=1, box=1, point=1))
    chance, face = prediction.score.sigmoid().detach().numpy(), batch["face"].numpy() == 1
    entropy = -np.log(np.where(face, chance, 1 - chance))
    assert found["score"].item() == pytest.approx((entropy[face].mean() + entropy[~face].mean()) / 2, rel=1e-5)
    for name, field in (("box", "box"), ("point", "points")):
        error = (getattr(prediction, field) - batch[field]).abs().detach().numpy()[face]
        smooth = np.where(error < 0.05, 0.5 * error**2 / 0.05, error - 0.025)
        assert found[name].item() == pytest.approx(smooth.mean() / 0.1, rel=1e-5)
    sum(found.values()).backward()
    for part in (prediction.box, prediction.points):
        assert (part.grad[~face] == 0).all() and (part.grad[face] != 0).any()


@pytest.mark.parametrize("face", [0.0, 1.0])
def test_batches_of_one_kind_are_finite(face: float) -> None:
    prediction, batch = crops()
    some = batch["face"] == face
    one = Prediction(*(part[some] for part in prediction))
    found = face_score.loss(one, {name: value[some] for name, value in batch.items()}, FaceScoreLosses())
    assert all(value.isfinite() for value in found.values())
    assert (found["box"] > 0) == (face == 1)


@pytest.mark.parametrize("name", ["score", "box", "point"])
def test_weights_of_the_face_score_scale_their_losses(name: str) -> None:
    prediction, batch = crops()
    settings = FaceScoreLosses()
    before = face_score.loss(prediction, batch, settings)
    after = face_score.loss(prediction, batch, settings.model_copy(update={name: 3 * getattr(settings, name)}))
    assert scaled_alone(before, after, 3.0) == {name}
