"""Faces and detections by the hundred: the same pairs as by comparing everything, without comparing everything."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from canthus.align.estimate import Estimate
from canthus.align.stage import Stage, System
from canthus.align.view import View
from canthus.geometry.crop import Crop
from canthus.track import match
from canthus.track.fitter import Fitter
from canthus.track.match import OTHER_SCENE, SAME_SCENE, Known, assign, cost_of, costs_of, doubles
from canthus.track.motion import Placement
from dots import DotScorer, solve

SHAPE = np.random.default_rng(4).uniform(-0.5, 0.5, (20, 2)).astype(np.float32)


def crowd(seed: int, count: int, spread: float) -> tuple[list[NDArray[np.float32]], list[Placement]]:
    """Faces of about 40 pixels that differ in place, size and shape, and their placements."""
    rng = np.random.default_rng(seed)
    faces = [
        (
            40 * rng.uniform(0.6, 1.4) * (SHAPE + rng.normal(0, rng.choice([0, 0.1]), SHAPE.shape))
            + rng.uniform(0, spread, 2)
        ).astype(np.float32)
        for _ in range(count)
    ]
    return faces, [Placement.of(points, 0) for points in faces]


def known(points: list[NDArray[np.float32]], places: list[Placement], away: float = 0.1) -> list[Known]:
    limits = (SAME_SCENE, OTHER_SCENE)
    return [
        Known(place, place.centre + 5, face, away, limits[at % 2])
        for at, (face, place) in enumerate(zip(points, places, strict=True))
    ]


@given(st.integers(0, 99), st.sampled_from([40.0, 150.0]), st.sampled_from([0.04, 2.0]))
def test_costs_are_those_of_every_pair(seed: int, spread: float, away: float) -> None:
    faces, (points, places) = known(*crowd(seed, 6, spread), away), crowd(seed + 1, 5, spread)
    every = [[cost_of(face, *fit) for fit in zip(places, points, strict=True)] for face in faces]
    np.testing.assert_array_equal(costs_of(faces, places, points), every)
    assert costs_of(faces, [], []).shape == (6, 0) and costs_of([], places, points).shape == (0, 5)


@given(st.integers(0, 99), st.integers(1, 7), st.integers(1, 7))
def test_pairs_are_those_of_taking_the_least_cost_again_and_again(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 6, (rows, columns)) / 4  # with equal ones
    left = costs = np.where(rng.random(costs.shape) < 0.3, np.inf, costs)
    wanted, left = [], costs.copy()
    while np.isfinite(left.min()):
        row, column = divmod(int(left.argmin()), columns)
        wanted.append((row, column))
        left[row], left[:, column] = np.inf, np.inf
    assert assign(costs) == wanted


@given(st.integers(0, 99))
def test_doubles_are_those_of_every_pair(seed: int) -> None:
    points, places = crowd(seed, 12, 25.0)
    sizes = [place.size for place in places]
    apart = np.linalg.norm(np.stack(points)[:, None] - np.stack(points)[None], axis=-1).mean(-1)
    near = apart < 0.12 * np.minimum.outer(sizes, sizes)
    assert doubles(points, sizes) == [(one, two) for one, two in np.argwhere(near).tolist() if one < two]
    assert doubles([], []) == []


def test_a_crowd_needs_few_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    corners = 45.0 * np.stack(np.meshgrid(np.arange(25), np.arange(20)), -1).reshape(-1, 1, 2)
    points = list((40 * SHAPE + corners).astype(np.float32))
    places = [Placement.of(face, 0) for face in points]
    compared, plain = [0], match.shape_distance

    def counted(*shapes: Any) -> float:
        compared[0] += 1
        return plain(*shapes)

    monkeypatch.setattr(match, "shape_distance", counted)
    costs = costs_of(known(points, places, 0.04), places, points)
    assert assign(costs) == [(at, at) for at in range(500)]
    assert compared[0] < 4 * 500, "not 500 * 500"


def test_detections_are_fitted_batch_by_batch() -> None:
    seen: list[int] = []

    def counting(view: View, estimate: Estimate | None) -> Estimate:
        seen.append(len(view.frames))
        return solve(view, estimate)

    fitter = Fitter(System("toy", "5", (Stage("dots", Crop(32, 1.3), counting),)), DotScorer())  # type: ignore[arg-type]
    boxes = np.tile(np.array([40, 40, 100, 100], np.float32), (70, 1)) + np.arange(70, dtype=np.float32)[:, None]
    fits = fitter.begin(np.zeros((240, 320, 3), np.uint8), boxes, np.full(70, np.nan, np.float32))
    assert len(fits) == 70 and max(seen) == 32
    assert [round(float(fit.points.mean())) for fit in fits] == sorted(round(float(fit.points.mean())) for fit in fits)
