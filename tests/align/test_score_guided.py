"""The rebuild of points, and score_guided as a row of stages."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from canthus.align.rebuild import Kind, Rebuild, shapes_of, spread_of
from canthus.align.stage import Parts
from canthus.align.systems import system_of
from canthus.errors import BundleError, ShapeError
from canthus.geometry.crop import Crop
from canthus.geometry.transform import apply, similarity
from canthus.nets.decode import reliability
from canthus.types import Floats
from whole import whole_view

KINDS: list[Kind] = ["exemplars", "posterior"]
COUNT, POINTS, SIZE = 80, 20, 200


def faces(count: int, seed: int = 0) -> np.ndarray:
    """Shapes of three modes about a ring, each at a place, size and angle of its own. Shape (count, POINTS, 2)."""
    rng, turn = np.random.default_rng(seed), np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    ring = np.stack([np.cos(turn), 1.3 * np.sin(turn)], -1)
    modes = np.stack([ring * [1, 0], np.stack([np.cos(3 * turn), 0 * turn], -1), np.stack([0 * turn, ring[:, 0]], -1)])
    shapes = ring + np.einsum("fm,mpd->fpd", rng.normal(0, 0.12, (count, 3)), modes)
    moves = [
        similarity(float(rng.uniform(20, 80)), float(rng.uniform(-30, 30)), tuple(rng.uniform(50, 150, 2)))
        for _ in shapes
    ]
    return np.stack([apply(move, shape) for move, shape in zip(moves, shapes, strict=True)]).astype(np.float32)


def rebuild_of(kind: Kind, atoms: int = 40, nearest: int = 10) -> Rebuild:
    found = Rebuild.of(shapes_of(faces(COUNT), kind, (atoms, 1), nearest, 0.4))
    assert found is not None
    return found


def damaged(points: np.ndarray, hidden: slice, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of which some are far off, with weights and scores that say so."""
    wrong, weights, scores = points.copy(), np.full(points.shape[:2], 0.9), np.full(points.shape[:2], 0.97)
    size = np.ptp(points, axis=1).max(-1)[:, None, None]
    wrong[:, hidden] += (0.1 * size * rng.normal(size=wrong[:, hidden].shape)).astype(np.float32)
    weights[:, hidden], scores[:, hidden] = 0.1, 0.05
    return wrong, weights, scores


def errors(points: np.ndarray, truth: np.ndarray) -> Any:
    """Distances over the longer side of the box. Shape (F, P)."""
    return np.linalg.norm(points - truth, axis=-1) / np.ptp(truth, axis=1).max(-1)[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_points_come_back(kind: Kind, rng: np.random.Generator) -> None:
    truth, hidden = faces(30, seed=1), slice(3, 9)
    wrong, weights, scores = damaged(truth, hidden, rng)
    before, after = errors(wrong, truth), errors(rebuild_of(kind).points(wrong, weights, scores), truth)
    assert after[:, hidden].mean() < 0.3 * before[:, hidden].mean()
    others = np.delete(after, np.arange(3, 9), 1)
    assert others.mean() < (1e-5 if kind == "exemplars" else 0.001)


@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_of_a_face_does_not_matter(kind: Kind, rng: np.random.Generator) -> None:
    """Turned, moved and enlarged points give the same result turned, moved and enlarged."""
    wrong, weights, scores = damaged(faces(5, seed=2), slice(0, 6), rng)
    move, found = similarity(1.7, 25, (30, -12)), rebuild_of(kind)
    moved = apply(move, wrong).astype(np.float32)
    np.testing.assert_allclose(
        found.points(moved, weights, scores), apply(move, found.points(wrong, weights, scores)), atol=5e-3
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3), st.integers(0, 1000))
def test_a_face_with_too_few_reliable_points_stays(kind: Kind, reliable: int, seed: int) -> None:
    """Also one whose points are all hidden; its neighbours in the batch are rebuilt all the same."""
    rng = np.random.default_rng(seed)
    wrong, weights, scores = damaged(faces(3, seed=3), slice(0, 8), rng)
    weights[1] = 0
    weights[1, rng.choice(POINTS, reliable, replace=False)] = 1
    found = rebuild_of(kind).points(wrong, weights, scores)
    np.testing.assert_array_equal(found[1], wrong[1])
    assert (np.abs(found[[0, 2]] - wrong[[0, 2]]).max((1, 2)) > 0.1).all()
    alone = rebuild_of(kind).points(wrong[1:2], 0 * weights[1:2], scores[1:2])
    np.testing.assert_array_equal(alone, wrong[1:2])


def test_reliable_points_are_not_replaced() -> None:
    truth = faces(4, seed=4)
    ones = np.ones(truth.shape[:2])
    np.testing.assert_allclose(rebuild_of("exemplars").points(truth, ones, ones), truth, atol=1e-4)
    np.testing.assert_allclose(rebuild_of("posterior").points(truth, ones, ones), truth, atol=1e-4)
    moved = rebuild_of("posterior").points(truth, ones, 0.999 * ones)
    assert errors(moved, truth).max() < 1e-3


@pytest.mark.parametrize(("atoms", "nearest"), [(1, 10), (40, 1), (40, 1000), (0, 10), (1000, 10)])
def test_dictionaries_of_any_size(atoms: int, nearest: int, rng: np.random.Generator) -> None:
    """One exemplar; one neighbour; more neighbours, or atoms, than there are shapes; all shapes."""
    truth, hidden = faces(6, seed=5), slice(2, 7)
    wrong, weights, scores = damaged(truth, hidden, rng)
    found = rebuild_of("exemplars", atoms, nearest)
    assert found.exemplars is not None and len(found.exemplars) == min(atoms or COUNT, COUNT)
    after = found.points(wrong, weights, scores)
    assert np.isfinite(after).all()
    assert errors(after, truth)[:, hidden].mean() < errors(wrong, truth)[:, hidden].mean()


def test_faces_with_unknown_points_are_no_shapes() -> None:
    labels = faces(COUNT)
    some = labels.copy()
    some[::2, 4] = np.nan
    for name, array in shapes_of(some, "exemplars", (0, 1), 5, 0.3).items():
        np.testing.assert_array_equal(array, shapes_of(labels[1::2], "exemplars", (0, 1), 5, 0.3)[name])
    with pytest.raises(ShapeError):
        shapes_of(np.full((3, 5, 2), np.nan, np.float32), "posterior", (0, 1), 5, 0.3)


def test_no_rebuild() -> None:
    assert shapes_of(faces(2), "none", (4, 1), 2, 0.4) == {}
    assert Rebuild.of({}) is None
    assert Rebuild.of({"mean": np.zeros((5, 2))}) is None


def test_a_spread_is_the_one_that_its_score_claims() -> None:
    """`reliability` of the spread b over the box gives the score again; a coordinate has the variance 3 b^2."""
    spread = np.array([0.004, 0.01, 0.03, 0.1])
    scores = reliability(torch.from_numpy(np.log(spread)), 0.025).numpy()
    np.testing.assert_allclose(spread_of(scores), np.sqrt(3) * spread, rtol=1e-3)
    rng = np.random.default_rng(0)
    far, turn = rng.gamma(2, 0.01, 400_000), rng.uniform(0, 2 * np.pi, 400_000)  # density exp(-r / b) / (2 pi b^2)
    assert (far * np.cos(turn)).std() == pytest.approx(np.sqrt(3) * 0.01, rel=0.01)
    assert (far < 0.025).mean() == pytest.approx(float(scores[1]), abs=0.003)


class Net:
    """Answers with the same points, weights and scores in every crop."""

    def __init__(self, points: NDArray[Any], weights: NDArray[Any], scores: NDArray[Any]) -> None:
        self.answer = {"points": points, "weights": weights, "scores": scores, "occluded": 1 - weights}
        self.answer |= {name: np.zeros((len(points), points.shape[1], 4, 4)) for name in ("heatmaps", "scoremaps")}

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        assert inputs[0].shape[1] == SIZE
        return {name: array.astype(np.float32) for name, array in self.answer.items()}


def test_the_row() -> None:
    """Raw points, rebuilt points, weights and flags; the rebuild cannot start a row."""
    truth = faces(3, seed=7)
    wrong, weights, scores = damaged(truth, slice(0, 5), np.random.default_rng(0))
    view, crop = whole_view(np.zeros((3, SIZE, SIZE, 3), np.uint8))
    arrays = shapes_of(faces(60), "posterior", (0, 1), 0, 0.4)
    system = system_of("score_guided", "68", {"maps": Parts(crop, {"landmarks": Net(wrong, weights, scores)}, arrays)})
    raw, found = system.prefix(1).run(view), system.run(view)
    np.testing.assert_allclose(raw.points, wrong, atol=1e-3)
    np.testing.assert_array_equal(found.extras["raw"], raw.points)
    np.testing.assert_array_equal(found.extras["occluded"], (1 - weights).astype(np.float32))
    assert "raw" not in raw.extras
    assert np.abs(found.points - truth)[:, :5].mean() < 0.5 * np.abs(wrong - truth)[:, :5].mean()
    with pytest.raises(BundleError, match="follows its maps"):
        system.suffix("rebuild").run(view)


def test_without_shapes_there_is_no_rebuild() -> None:
    parts = {"maps": Parts(Crop(SIZE, 1.3), {})}
    assert [stage.name for stage in system_of("score_guided", "68", parts).stages] == ["maps"]


def test_the_result_of_a_face() -> None:
    """`Faces` has what the system found out beside the points."""
    points = np.tile(faces(1, seed=8), (1, 4, 1))[:, :68]
    weights = np.linspace(0, 1, 68)[None]
    _, crop = whole_view(np.zeros((1, SIZE, SIZE, 3), np.uint8))
    arrays = shapes_of(np.tile(faces(60), (1, 4, 1))[:, :68], "exemplars", (30, 1), 5, 0.4)
    assert points.shape[1] == 68 and POINTS * 4 > 68
    parts = {"maps": Parts(crop, {"landmarks": Net(points, weights, weights)}, arrays)}
    (found,) = system_of("score_guided", "68", parts).align(
        [np.zeros((SIZE, SIZE, 3), np.uint8)], [np.float32([[0, 0, SIZE, SIZE]])]
    )
    assert found.raw.shape == (1, 68, 2) and np.isfinite(found.raw).all()
    np.testing.assert_allclose(found.occluded, 1 - weights, atol=1e-6)
