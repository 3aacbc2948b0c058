"""Drawing: colours at positions that follow from the definitions of the points, the zoom and the axes of the head."""

from dataclasses import replace

import numpy as np
import pytest

from canthus.drawing import AXES, BOX, CURVE, POINT, RAMP, SHADE, colours_of, draw
from canthus.errors import ShapeError
from canthus.schemes.scheme import Scheme
from canthus.types import Faces

BLANK = np.full((300, 400, 3), 120, np.uint8)
PLAIN = {"curves": False, "points": False, "pose": False}


def face(points: np.ndarray, scores: float = 1.0, pose: tuple[float, float, float] = (np.nan, np.nan, np.nan)) -> Faces:
    """Five points in a box of 200 pixels."""
    return Faces(points[None], [[100, 50, 300, 250]], np.full((1, 5), scores), pose=[pose], scheme="5")


CROSS = np.array([[150, 100], [250, 100], [200, 150], [160, 200], [240, 200]], np.float32)


def near(colour: np.ndarray, expected: tuple[int, ...] | np.ndarray, tolerance: int = 3) -> bool:
    return bool(np.abs(colour.astype(int) - np.asarray(expected, int)).max() <= tolerance)


def covered(colour: tuple[int, int, int]) -> np.ndarray:
    """A line's colour on the blank image."""
    return np.round(0.75 * np.array(colour) + 0.25 * 120)


def test_nothing_to_draw_changes_nothing() -> None:
    np.testing.assert_array_equal(draw(BLANK, Faces.empty("5", 5)), BLANK)
    np.testing.assert_array_equal(draw(BLANK, face(CROSS), **PLAIN), BLANK)


def test_the_image_itself_is_left_alone() -> None:
    image = BLANK.copy()
    drawn = draw(image, face(CROSS))
    assert (image == 120).all() and (drawn != 120).any()


@pytest.mark.parametrize(("score", "colour"), [(0, RAMP[0]), (0.5, RAMP[1]), (1, RAMP[2]), (np.nan, [190] * 3)])
def test_points_show_their_reliability(score: float, colour: np.ndarray) -> None:
    drawn = draw(BLANK, face(CROSS, score), curves=False)
    for x, y in CROSS.astype(int):
        assert near(drawn[y, x], colour)
    assert near(draw(BLANK, face(CROSS, score), curves=False, scores=False)[100, 150], POINT)


def test_colours_lie_between_the_ends_of_the_ramp() -> None:
    low, quarter, high = colours_of(np.array([-1, 0.25, 2]))
    np.testing.assert_allclose(quarter, (RAMP[0] + RAMP[1]) / 2, atol=0.5)
    assert low == tuple(RAMP[0]) and high == tuple(RAMP[2])


@pytest.mark.parametrize("zoom", [1, 2, 3])
def test_zoom_keeps_points_on_their_pixels(zoom: int) -> None:
    drawn = draw(BLANK, face(CROSS), curves=False, zoom=zoom)
    assert drawn.shape == (300 * zoom, 400 * zoom, 3)
    green = np.abs(drawn.astype(int) - RAMP[2]).max(-1) < 30
    rows, columns = np.nonzero(green[:, : 200 * zoom - 40 * zoom][: 150 * zoom])  # around (150, 100)
    middle = zoom * np.array([150, 100]) + (zoom - 1) / 2
    np.testing.assert_allclose([columns.mean(), rows.mean()], middle, atol=0.2)


def test_dots_follow_the_size_of_the_face() -> None:
    def inked(side: float) -> int:
        faces = Faces(CROSS[None], [[0, 0, side, side]], scheme="5")
        return int((draw(BLANK, faces, curves=False) != 120).any(-1).sum())

    assert inked(800) > 2.5 * inked(400) > 5 * inked(200) > 0


def test_curves_join_neighbours() -> None:
    scheme, middle = Scheme.open("68"), np.array([200, 150])
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    ring = (middle + 140 * np.stack([np.cos(angle), np.sin(angle)], -1)).astype(np.float32)
    drawn = draw(BLANK, Faces(ring[None], [[0, 0, 900, 900]], scheme="68"), points=False)
    for a, b in scheme.edges:
        x, y = np.round((ring[a] + ring[b]) / 2).astype(int)
        assert near(drawn[y, x], covered(CURVE))
    x, y = np.round((ring[16] + ring[17]) / 2).astype(int)
    assert not near(drawn[y, x], covered(CURVE), 40)


def test_curves_break_at_missing_points() -> None:
    points = np.full((68, 2), np.nan, np.float32)
    points[[7, 9]] = [[100, 100], [200, 100]]
    faces = Faces(points[None], [[0, 0, 900, 900]], scheme="68")
    np.testing.assert_array_equal(draw(BLANK, faces, points=False), BLANK)
    faces.points[0, 8] = [150, 100]
    drawn = draw(BLANK, faces, points=False)
    assert near(drawn[100, 125], covered(CURVE)) and near(drawn[100, 175], covered(CURVE))


@pytest.mark.parametrize(
    ("pose", "directions"),
    [
        ((0, 0, 0), {0: (1, 0), 1: (0, 1)}),
        ((0, 0, 90), {0: (0, 1), 1: (-1, 0)}),
        ((89.9, 0, 0), {2: (1, 0), 1: (0, 1)}),
        ((-89.9, 0, 0), {2: (-1, 0), 1: (0, 1)}),
        ((0, 89.9, 0), {0: (1, 0), 2: (0, -1)}),
        ((0, -89.9, 0), {0: (1, 0), 2: (0, 1)}),
    ],
)
def test_axes_of_the_head(pose: tuple[float, float, float], directions: dict[int, tuple[int, int]]) -> None:
    drawn = draw(BLANK, face(CROSS, pose=pose), points=False, curves=False)
    start = CROSS.mean(0)
    for axis, direction in directions.items():
        x, y = np.round(start + 50 * np.array(direction)).astype(int)
        assert near(drawn[y, x], covered(AXES[axis]))


def test_boxes() -> None:
    drawn = draw(BLANK, face(CROSS), **PLAIN, boxes=True)
    assert near(drawn[50, 105], covered(BOX), 20) and near(drawn[245, 300], covered(BOX), 20)
    assert near(drawn[50, 200], (120, 120, 120)) and near(drawn[150, 100], (120, 120, 120))
    found = draw(BLANK, Faces.of_boxes([[100, 50, 300, 250]]))
    np.testing.assert_array_equal(found, drawn)


def test_places_far_outside_and_missing_do_no_harm() -> None:
    points = CROSS.copy()
    points[0], points[1], points[2] = [1e9, -1e9], np.nan, [-50, 1000]
    drawn = draw(BLANK, face(points, pose=(10, 10, 10)), boxes=True)
    assert near(drawn[200, 160], RAMP[2])


@pytest.mark.parametrize("missing", [slice(0, 4), slice(2, 3)])
def test_a_face_whose_box_is_not_known_is_drawn_by_its_points(missing: slice) -> None:
    around = np.float32([[150, 100, 250, 200]])
    boxless = around.copy()
    boxless[0, missing] = np.nan
    posed = face(CROSS, pose=(10, 20, 30))
    expected = draw(BLANK, replace(posed, boxes=around), zoom=2)
    np.testing.assert_array_equal(draw(BLANK, replace(posed, boxes=boxless), boxes=True, zoom=2), expected)
    other = Faces(CROSS[None] + 60, [[160, 110, 360, 310]], scheme="5")
    nothing = Faces(np.full((1, 5, 2), np.nan), boxless, pose=posed.pose, scheme="5")
    np.testing.assert_array_equal(
        draw(BLANK, Faces.concat([nothing, other]), boxes=True), draw(BLANK, other, boxes=True)
    )


def test_three_dimensions_are_drawn_as_two() -> None:
    flat, deep = face(CROSS), face(np.column_stack([CROSS, np.arange(5)]).astype(np.float32))
    np.testing.assert_array_equal(draw(BLANK, flat), draw(BLANK, deep))


@pytest.mark.parametrize("zoom", [1, 4])
def test_hidden_points_are_hollow(zoom: int) -> None:
    """A ring of the point's colour around the picture itself; what is visible or not known is a dot."""
    shown = replace(face(CROSS), occluded=[[0.5, 1, 0.49, 0, np.nan]])
    drawn = draw(BLANK, shown, curves=False, zoom=zoom)
    for (x, y), hollow in zip(CROSS.astype(int), [True, True, False, False, False], strict=True):
        x, y = zoom * x + zoom // 2, zoom * y + zoom // 2
        around = drawn[y - 5 * zoom : y + 5 * zoom, x - 5 * zoom : x + 5 * zoom].reshape(-1, 3)
        assert near(drawn[y, x], (120, 120, 120) if hollow else RAMP[2], 30)
        assert np.abs(around.astype(int) - RAMP[2]).max(1).min() < 45
        assert np.abs(around.astype(int) - SHADE).max(1).min() < 60


def test_points_of_unknown_depth_are_drawn() -> None:
    deep = face(np.column_stack([CROSS, np.full(5, np.nan)]).astype(np.float32))
    np.testing.assert_array_equal(draw(BLANK, face(CROSS)), draw(BLANK, deep))


def test_dark_rim_shows_on_bright_pictures() -> None:
    white = np.full((300, 400, 3), 255, np.uint8)
    drawn = draw(white, face(CROSS), curves=False)
    assert np.abs(drawn.astype(int) - SHADE).max(-1).min() < 120


def test_wrong_arguments() -> None:
    with pytest.raises(ShapeError, match="zoom"):
        draw(BLANK, face(CROSS), zoom=0)
    with pytest.raises(ShapeError, match="an image is"):
        draw(BLANK[..., 0], face(CROSS))


@pytest.mark.parametrize(
    "box", [(-1e9, -1e9, 1e9, 1e9), (-3e38, 0, 3e38, 9), (1e12, 1e12, 2e12, 2e12), (0, 0, 1e-30, 1e-30)]
)
def test_faces_of_any_size(box: tuple[float, ...]) -> None:
    """OpenCV draws no strokes of over 32,767 pixels."""
    with np.errstate(over="ignore"):
        drawn = draw(np.zeros((40, 60, 3), np.uint8), Faces.of_boxes(np.array([box], np.float32)), boxes=True)
    assert drawn.shape == (40, 60, 3)


def test_lines_are_blended_wherever_they_lie() -> None:
    """A quarter of the picture is seen through each line: no value is that of a colour of `drawing`, or near it."""
    rng = np.random.default_rng(4)
    for zoom in (1, 2):
        for _ in range(40):
            points, corner = rng.uniform(-40, 400, (5, 2)), rng.uniform(-20, 300, 2)
            pose, box = rng.uniform(-80, 80, 3), np.r_[corner, corner + rng.uniform(5, 250, 2)]
            faces = Faces(points[None], box[None], pose=pose[None], scheme="5")
            drawn = draw(BLANK, faces, points=False, boxes=True, zoom=zoom)
            assert drawn.max() <= covered((255, 255, 255)).max() and drawn.min() >= covered((20, 24, 32)).min()
