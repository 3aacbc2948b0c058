import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from canthus.align.view import View
from canthus.errors import ShapeError
from canthus.geometry.box import turned_box
from canthus.geometry.crop import Crop, box_of, crop_matrix, unit_mean, warp
from canthus.geometry.transform import apply, similarity

PICTURE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
CROP = Crop(48, 1.4)
BOXES = np.float32([[20, 30, 70, 90], [60, 10, 140, 80]])
SHAPE = np.float32([[-30, -20], [30, -20], [0, 0], [-20, 30], [20, 30]])


@pytest.mark.parametrize("rolls", [None, [0, 0], [25, -110], [np.nan, 60]])
def test_crops_of_boxes_are_those_of_geometry(rolls: list[float] | None) -> None:
    angles = np.nan_to_num(np.array(rolls if rolls else [0, 0], float))
    view = View.of_boxes([PICTURE] * 2, BOXES, None if rolls is None else np.array(rolls))
    squares = turned_box(BOXES, angles)
    for box, angle, crop in zip(squares, angles, view.cut(CROP), strict=True):
        expected = warp(PICTURE, crop_matrix(box, CROP.size, CROP.margin, float(angle)), CROP.size)
        assert np.abs(crop.astype(int) - expected).max() <= 1
    np.testing.assert_allclose(view.angles, -angles, atol=1e-9)


@given(
    arrays(np.float64, (2, 4, 3), elements=st.floats(-200, 200)),
    st.lists(st.floats(-180, 180), min_size=2, max_size=2),
)
def test_lifting_undoes_lowering(points: np.ndarray, rolls: list[float]) -> None:
    view = View.of_boxes([PICTURE] * 2, BOXES, np.array(rolls))
    np.testing.assert_allclose(view.lift(view.lower(points, CROP), CROP), points, atol=1e-6)


def test_depth_is_scaled_with_the_face() -> None:
    view = View.of_boxes([PICTURE], BOXES[1:])
    lifted = view.lift(np.float32([[[10, 10, 12]]]), CROP)
    assert lifted[0, 0, 2] == pytest.approx(12 * 80 * CROP.margin / CROP.size)


@given(st.floats(-180, 180), st.floats(0.3, 3), st.floats(-50, 50), st.floats(-50, 50))
def test_the_mean_shape_stays_where_it_is(angle: float, scale: float, x: float, y: float) -> None:
    """Whatever similarity moved a face, the frame aligned to the mean shape takes it back."""
    mean = unit_mean(SHAPE[None])
    points = apply(similarity(scale, angle, (80 + x, 60 + y)), SHAPE[None].astype(np.float64))
    view = View.of_points([PICTURE], points).aligned(points, mean)
    np.testing.assert_allclose(apply(view.frames, points)[0], mean, atol=1e-6)


def test_a_frame_of_points_is_the_frame_of_their_box() -> None:
    points = SHAPE[None] + 60
    np.testing.assert_allclose(
        View.of_points([PICTURE], points).frames, View.of_boxes([PICTURE], box_of(points)).frames
    )


@pytest.mark.parametrize("angle", [0, 40])
def test_frames_around_groups_of_points(angle: float) -> None:
    """Every group fills its frame, which is turned as the face is; all groups of a face come before the next face."""
    points = np.stack([apply(similarity(1, angle, (70, 60)), SHAPE), apply(similarity(0.5, angle, (90, 50)), SHAPE)])
    groups = ((0, 1), (2, 3, 4))
    view = View.of_boxes([PICTURE, PICTURE[:100]], BOXES, np.full(2, float(angle)))
    around = view.around(points, groups)
    assert len(around) == 4
    assert [picture.shape[0] for picture in around.pictures] == [120, 120, 100, 100]
    for row, (face, group) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        inside = apply(around.frames[row], points[face, groups[group]])
        low, high = inside.min(0), inside.max(0)
        np.testing.assert_allclose((low + high) / 2, 0, atol=1e-5)
        assert (high - low).max() == pytest.approx(1, abs=1e-5)
        assert around.angles[row] == pytest.approx(-angle, abs=1e-4)


def test_groups_aligned_to_their_mean_shapes() -> None:
    groups = ((0, 1, 2), (2, 3, 4))
    means = [unit_mean(SHAPE[None, list(group)]) for group in groups]
    points = np.stack([apply(similarity(2, angle, (70, 60)), SHAPE) for angle in (-30, 80)])
    around = View.of_points([PICTURE] * 2, points).around(points, groups, means)
    for row in range(4):
        found = apply(around.frames[row], points[row // 2, groups[row % 2]])
        np.testing.assert_allclose(found, means[row % 2], atol=1e-5)


def test_a_group_without_extent() -> None:
    with pytest.raises(ShapeError, match="no box"):
        View.of_boxes([PICTURE], BOXES[:1]).around(SHAPE[None], [(0,), (1, 2)])


def test_a_face_turned_back_stands_upright() -> None:
    """The stage of an angle network: what it finds turns the frames for the next stage."""
    plain = View.of_boxes([PICTURE] * 2, BOXES)
    turned = plain.turned(np.array([30.0, -70]))
    np.testing.assert_allclose(turned.angles, [-30, 70], atol=1e-9)
    middle = np.stack([(box[:2] + box[2:]) / 2 for box in BOXES])[:, None]
    np.testing.assert_allclose(apply(turned.frames, middle), 0, atol=1e-5)
    pose = turned.lift_pose(np.float32([[5, 6, 1], [0, 0, 179]]))
    np.testing.assert_allclose(pose, [[5, 6, 31], [0, 0, 109]], atol=1e-4)
