"""The row of multi_view: the chosen view, the second crop, depth and pose."""

from typing import Any

import numpy as np
import pytest

from canthus.align.estimate import Estimate
from canthus.align.multi_view import mean_solid, plane_means, shown, stages
from canthus.align.stage import Parts
from canthus.align.systems import system_of
from canthus.align.view import View
from canthus.errors import DataError, ShapeError
from canthus.geometry.crop import Crop, crop_of_frame
from canthus.geometry.pose import rotation
from canthus.geometry.transform import apply, compose, similarity
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import VIEWS, union_slots

CROP = Crop(96, 1.3)


class Answer:
    """An engine that gives the same for every face."""

    def __init__(self, **outputs: Any) -> None:
        self.outputs, self.seen = outputs, []  # type: ignore[var-annotated]

    def run(self, *inputs: Any) -> Any:
        self.seen.append(inputs[0])
        return {name: np.repeat(np.float32(value)[None], len(inputs[0]), 0) for name, value in self.outputs.items()}


def plane_shapes(rng: np.random.Generator, count: int = 5) -> np.ndarray:
    """Faces of every view in the slots of the union: noisy copies of one shape for each. Shape (3 * count, 68, 2)."""
    whole = rng.uniform(0, 100, (68, 2))
    faces = []
    for slots in shown():
        for _ in range(count):
            points = whole + rng.normal(0, 2, (68, 2))
            faces.append(np.where(slots[:, None], points, np.nan))
    return np.float32(faces)


def parts_for(view: int, rng: np.random.Generator) -> dict[str, Parts]:
    views = np.eye(3)[view] * 0.8 + 0.1
    plane = Answer(points=rng.uniform(10, 80, (68, 2)), scores=np.full(68, 0.5), views=views)
    solid = Answer(points=rng.uniform(10, 80, (84, 3)), scores=np.full(84, 0.5))
    arrays = {"mean": plane_means(plane_shapes(rng)), "solid": rng.normal(size=(84, 3)).astype(np.float32)}
    return {"plane": Parts(CROP, {"plane": plane}), "solid": Parts(CROP, {"solid": solid}, arrays)}


@pytest.mark.parametrize("view", range(3))
def test_results(view: int, rng: np.random.Generator) -> None:
    """3D points of every face; plane points in the slots of its view, NaN elsewhere; the pose of the 3D points."""
    system = system_of("multi_view", "84", parts_for(view, rng))
    image = rng.integers(0, 256, (120, 150, 3), np.uint8)
    found, none = system.align([image, image], [np.float32([[20, 20, 90, 100]]), np.zeros((0, 4), np.float32)])
    assert found.points.shape == (1, 84, 3) and none.points.shape == (0, 84, 3)
    assert found.view.tolist() == [view] and found.plane.shape == (1, 68, 2)
    assert np.array_equal(np.isfinite(found.plane).all(-1)[0], shown()[view])
    assert np.isfinite(found.pose).all()
    first = system.prefix(1)
    assert first.scheme == "68" and first.align([image], [np.float32([[20, 20, 90, 100]])])[0].points.shape == (
        1,
        68,
        2,
    )


def test_the_second_crop_is_that_of_the_points_of_the_view_alone(rng: np.random.Generator) -> None:
    """Points that the view lacks do not move it."""
    parts = parts_for(1, rng)
    image = rng.integers(0, 256, (120, 150, 3), np.uint8)
    box = np.float32([[20, 20, 90, 100]])
    system_of("multi_view", "84", parts).align([image], [box])
    engine = parts["plane"].networks["plane"]
    assert isinstance(engine, Answer)
    engine.outputs["points"] = np.where(shown()[1][:, None], engine.outputs["points"], 7.0)
    system_of("multi_view", "84", parts).align([image], [box])
    seen = parts["solid"].networks["solid"].seen  # type: ignore[attr-defined]
    np.testing.assert_array_equal(*seen)


@pytest.mark.parametrize("view", range(3))
def test_a_moved_face_has_the_same_second_crop(view: int, rng: np.random.Generator) -> None:
    """Turned, scaled and shifted with its picture, it lies within half a pixel of the same place."""
    solid = stages(parts_for(view, rng))[1]
    slots = shown()[view]
    points = np.where(slots[:, None], rng.uniform(40, 200, (68, 2)), np.nan)[None].astype(np.float32)
    for _ in range(20):
        move = similarity(float(rng.uniform(0.4, 2.5)), float(rng.uniform(-180, 180)), tuple(rng.uniform(-99, 99, 2)))
        before, after = (
            solid.look(View.of_points([np.zeros((9, 9, 3), np.uint8)], given), Estimate.of_points(given)).matrices(CROP)
            for given in (points, apply(move, points))
        )
        corners = np.array([[0.0, 0], [240, 0], [0, 240], [240, 240]])
        apart = apply(before[0], corners) - apply(compose(after[0], move), corners)
        assert np.abs(apart).max() < 0.5


def test_means_of_the_views_are_mirror_images(rng: np.random.Generator) -> None:
    """So the mirrored face has the mirrored crop; a view without faces is an error."""
    faces, mirror = plane_shapes(rng), Scheme.open("68").mirror
    means = plane_means(faces)
    np.testing.assert_allclose(means[0], means[0][mirror] * [-1, 1], atol=1e-4)
    np.testing.assert_allclose(means[2], means[1][mirror] * [-1, 1], atol=1e-4)
    for mean, scheme in zip(means, VIEWS, strict=True):
        known = mean[list(union_slots(scheme))]
        low, high = known.min(0), known.max(0)
        np.testing.assert_allclose([(low + high).max(), (high - low).max()], [0, 1], atol=1e-4)
    with pytest.raises(DataError, match="the view 39_left"):
        plane_means(faces[:5])
    left = crop_of_frame(
        View.of_points([np.zeros((9, 9, 3), np.uint8)], faces[5:6]).aligned(faces[5:6], means).frames, 96, 1.3
    )
    turned = faces[5:6][:, mirror] * np.float32([-1, 1])
    right = crop_of_frame(
        View.of_points([np.zeros((9, 9, 3), np.uint8)], turned).aligned(turned, means).frames, 96, 1.3
    )
    a, b = apply(left, faces[5:6]), apply(right, turned)[:, mirror]
    np.testing.assert_allclose(a[..., 0], 95 - b[..., 0], atol=1e-3)


def test_the_mean_face_and_its_poses(rng: np.random.Generator) -> None:
    """Faces of one symmetric shape, turned by known poses, give this shape; and back the poses, through the stage."""
    mirror = Scheme.open("84").mirror
    shape = rng.normal(size=(84, 3))
    shape = (shape + shape[mirror] * [-1, 1, 1]) / 2
    shape -= shape.mean(0)
    pose = np.column_stack([rng.uniform(-85, 85, 12), rng.uniform(-40, 40, 12), rng.uniform(-170, 170, 12)])
    faces = (40 * shape @ np.swapaxes(rotation(pose), 1, 2) + [100, 80, 0]).astype(np.float32)
    mean = mean_solid(faces[..., :2], faces[..., 2], pose, "84")
    assert mean is not None
    np.testing.assert_allclose(mean, shape / np.sqrt((shape**2).sum(1).mean()), atol=1e-4)
    unknown = np.full((12, 84), np.nan)
    assert mean_solid(faces[..., :2], unknown, pose, "84") is None
    engine = Answer(points=faces[0], scores=np.full(84, 0.5))
    (solid,) = stages({"solid": Parts(CROP, {"solid": engine}, {"solid": mean})})
    found = solid(View.of_boxes([np.zeros((96, 96, 3), np.uint8)], np.float32([[10, 10, 80, 80]])))
    np.testing.assert_allclose(found.pose[0], pose[0], atol=0.1)


def test_3d_points_do_not_start_a_row(rng: np.random.Generator) -> None:
    solid = stages(parts_for(0, rng))[1]
    with pytest.raises(ShapeError, match="follow its plane points"):
        solid(View.of_boxes([np.zeros((96, 96, 3), np.uint8)], np.float32([[10, 10, 80, 80]])))
