from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from canthus.align.calibration import Curve
from canthus.align.estimate import Estimate
from canthus.align.stage import Parts, Stage, System, aligned_to
from canthus.align.systems import system_of
from canthus.align.view import View
from canthus.errors import ShapeError
from canthus.geometry.crop import Crop, unit_mean
from canthus.types import Floats


class Blobs:
    """A network that finds the brightest red, green and blue pixel: its points are known in the image."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        (crops,) = inputs
        self.batches.append(len(crops))
        count, size = crops.shape[:2]
        flat = crops.reshape(count, -1, 3).argmax(1)
        points = np.stack([flat % size, flat // size], -1).astype(np.float32)
        return {
            "points": points,
            "scores": np.tile(np.float32([0.2, 0.4, 0.9]), (count, 1)),
            "pose": np.zeros((count, 3), np.float32),
        }


@pytest.fixture
def network() -> Blobs:
    return Blobs()


@pytest.fixture
def system(network: Blobs) -> System:
    return system_of("compact", "68", {"landmarks": Parts(Crop(64, 1.5), {"landmarks": network})}, batch=4)


def spots(places: list[tuple[int, int]]) -> NDArray[np.uint8]:
    image = np.zeros((200, 300, 3), np.uint8)
    for channel, (x, y) in enumerate(places):
        image[y - 2 : y + 3, x - 2 : x + 3, channel] = 200
        image[y, x, channel] = 255
    return image


def test_points_come_back_in_image_pixels(system: System) -> None:
    places = [(100, 80), (130, 90), (115, 120)]
    (faces,) = system.align([spots(places)], [np.float32([[90, 70, 140, 130]])])
    pixel = 1.5 * 60 / 64
    assert np.abs(faces.points[0] - np.array(places)).max() <= 3 * pixel
    assert faces.confidence[0] == pytest.approx(0.5)


def test_scores_are_calibrated_at_the_end_of_the_row_alone(network: Blobs) -> None:
    """The curve comes with the arrays of the last stage; a system that stops earlier has other points."""
    arrays = Curve(np.array([0.2, 0.4, 1.0]), np.array([0.0, 0.5, 0.8])).arrays()
    parts = {"landmarks": Parts(Crop(64, 1.5), {"landmarks": network}, arrays)}
    system = system_of("compact", "68", parts)
    image, box = spots([(100, 80), (130, 90), (115, 120)]), np.float32([[90, 70, 140, 130]])
    np.testing.assert_allclose(system.align([image], [box])[0].scores, [[0, 0.5, 0.75]], atol=1e-6)
    longer = replace(system, stages=[*system.stages, Stage("same", Crop(64, 1.5), lambda view, estimate: estimate)])  # type: ignore[arg-type,return-value]
    assert longer.prefix(2).curve is longer.prefix(None).curve is system.curve
    np.testing.assert_allclose(longer.prefix(1).align([image], [box])[0].scores, [[0.2, 0.4, 0.9]], atol=1e-6)


def test_batches_run_across_images_and_faces(system: System, network: Blobs) -> None:
    image = spots([(100, 80), (130, 90), (115, 120)])
    box = np.float32([90, 70, 140, 130])
    results = system.align([image] * 3, [np.tile(box, (count, 1)) for count in (3, 0, 7)])
    assert [len(faces) for faces in results] == [3, 0, 7]
    assert network.batches == [4, 4, 2]
    assert np.array_equal(results[0].points[0], results[2].points[6])


def test_no_face_at_all(system: System) -> None:
    (faces,) = system.align([spots([(5, 5)] * 3)], [np.zeros((0, 4), np.float32)])
    assert faces.points.shape == (0, 68, 2)
    assert faces.scheme == "68"
    assert system.align([], []) == []


def test_a_row_gives_each_stage_the_estimate_before() -> None:
    """Early stop is a prefix; a suffix takes the truth, or a real estimate, in place of the stages before it."""
    seen: list[Estimate | None] = []

    def add(view: View, estimate: Estimate | None) -> Estimate:
        seen.append(estimate)
        base = np.zeros((len(view), 2, 2), np.float32) if estimate is None else estimate.points
        return Estimate.of_points(base + 1)

    row = System("toy", "68", [Stage(name, Crop(8, 1.0), add) for name in ("first", "second", "third")])
    view = View.of_boxes([np.zeros((9, 9, 3), np.uint8)], np.float32([[0, 0, 5, 5]]))
    assert row.run(view).points[0, 0, 0] == 3
    assert row.prefix(2).run(view).points[0, 0, 0] == 2
    truth = Estimate.of_points(np.full((1, 2, 2), 10, np.float32))
    assert row.suffix("second").run(view, truth).points[0, 0, 0] == 12
    assert seen[0] is None and seen[-2] is truth
    for depth in (0, 4, -1):
        with pytest.raises(ShapeError, match=f"stages 1 to 3; it cannot stop after stage {depth}"):
            row.prefix(depth)


def test_frames_aligned_to_a_mean_shape_need_points() -> None:
    points = np.float32([[[20, 20], [60, 25], [40, 70]]])
    view = View.of_points([spots([(5, 5)] * 3)], points)
    look = aligned_to(unit_mean(points + np.float32([1, 0])))
    assert look(view, None) is view
    assert aligned_to(None)(view, Estimate.of_points(points)) is view
    assert look(view, Estimate.of_points(points)).frames.shape == (1, 2, 3)


def test_results_that_a_system_reports_reach_the_faces() -> None:
    count = 3
    estimate = Estimate(
        np.zeros((count, 5, 3), np.float32),
        np.full((count, 5), 0.5, np.float32),
        np.zeros((count, 3), np.float32),
        {"weights": np.ones((count, 5), np.float32)},
        {"maps": np.ones((count, 5, 8, 8), np.float32)},
    )
    faces = estimate.faces(np.tile(np.float32([0, 0, 9, 9]), (count, 1)), "5")
    assert faces.points.shape == (count, 5, 3)
    some = estimate[1:]
    assert (len(some), some.extras["weights"].shape, some.state["maps"].shape) == (2, (2, 5), (2, 5, 8, 8))
    with pytest.raises(ShapeError, match="'gates' has 2 rows for 3 faces"):
        Estimate(estimate.points, estimate.scores, estimate.pose, {"gates": np.zeros((2, 1))})
    with pytest.raises(ShapeError, match="do not fit 3 faces"):
        Estimate(estimate.points, estimate.scores[:2], estimate.pose)
