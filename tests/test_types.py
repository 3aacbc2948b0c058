from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.drawing import draw
from canthus.errors import OutputError, ShapeError
from canthus.formats.table import load
from canthus.types import Face, FaceDetector, Faces, as_boxes, as_image


def faces(count: int, points: int = 5, dims: int = 2, scheme: str = "5") -> Faces:
    rng = np.random.default_rng(count)
    return Faces(
        points=rng.normal(size=(count, points, dims)),
        boxes=np.tile([0, 0, 10, 20], (count, 1)),
        scores=rng.random((count, points)),
        confidence=rng.random(count),
        pose=rng.normal(size=(count, 3)),
        scheme=scheme,
        occluded=rng.random((count, points)),
        raw=rng.normal(size=(count, points, 2)),
        view=rng.integers(0, 3, count),
    )


def same(a: Faces, b: Faces) -> None:
    for name in Faces.arrays():
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == np.float32
    assert a.scheme == b.scheme


@given(st.integers(0, 4), st.integers(0, 4), st.sampled_from([2, 3]))
def test_joining_undoes_taking_apart(first: int, second: int, dims: int) -> None:
    whole = faces(first + second, dims=dims)
    same(Faces.concat([whole[:first], whole[first:]]), whole)
    assert len(whole[:first]) == first


def test_a_face_has_the_values_of_its_row() -> None:
    some = faces(3)
    one = some[1]
    assert isinstance(one, Face)
    np.testing.assert_array_equal(one.points, some.points[1])
    np.testing.assert_array_equal(one.scores, some.scores[1])
    np.testing.assert_array_equal(one.pose, some.pose[1])
    np.testing.assert_array_equal(one.occluded, some.occluded[1])
    np.testing.assert_array_equal(one.raw, some.raw[1])
    assert one.view == some.view[1] and isinstance(one.view, float)
    assert (one.confidence, one.scheme, one.box.tolist()) == (some.confidence[1], "5", [0, 0, 10, 20])
    assert [item.confidence for item in some] == some.confidence.tolist()
    assert some[-1].confidence == some.confidence[2]
    assert some[np.int64(2)].confidence == some.confidence[2]
    with pytest.raises(IndexError):
        some[3]


def test_faces_are_chosen_by_mask_and_by_number() -> None:
    some = faces(4)
    same(some[np.array([True, False, True, False])], some[np.array([0, 2])])
    assert some[::-1].confidence.tolist() == some.confidence[::-1].tolist()


def test_what_is_not_known_is_nan() -> None:
    some = Faces(np.zeros((2, 5, 2)), np.zeros((2, 4)), scheme="5")
    shapes = {"scores": (2, 5), "confidence": (2,), "pose": (2, 3), "occluded": (2, 5), "raw": (2, 5, 2)}
    shapes |= {"view": (2,), "identity": (2,), "plane": (2, 68, 2)}
    assert {"points", "boxes", *shapes} == set(Faces.arrays())
    for name, shape in shapes.items():
        assert getattr(some, name).shape == shape
        assert np.isnan(getattr(some, name)).all()


def test_no_face_has_the_shapes_of_a_result() -> None:
    none = Faces.empty("68", 68, 3)
    assert (len(none), none.points.shape, none.scores.shape, none.pose.shape) == (0, (0, 68, 3), (0, 68), (0, 3))
    assert list(none) == []
    same(Faces.concat([none, faces(2, 68, 3, "68")]), faces(2, 68, 3, "68"))
    assert len(Faces.concat([])) == 0


def test_boxes_alone() -> None:
    found = Faces.of_boxes([[0, 0, 1, 1], [2, 2, 5, 6]], [0.5, 0.25])
    assert found.points.shape == (2, 0, 2)
    assert found.confidence.tolist() == [0.5, 0.25]
    assert np.isnan(Faces.of_boxes([0, 0, 1, 1]).confidence).all()
    assert len(Faces.of_boxes([])) == 0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"points": np.zeros((5, 2))}, r"\(F, P, 2\)"),
        ({"points": np.zeros((1, 5, 4))}, r"\(F, P, 2\)"),
        ({"boxes": np.zeros((2, 4))}, r"boxes of 1 faces with 5 points are \(1, 4\)"),
        ({"scores": np.zeros((1, 4))}, "scores"),
        ({"confidence": np.zeros(2)}, "confidence"),
        ({"pose": np.zeros((1, 2))}, "pose"),
        ({"occluded": np.zeros((1, 4))}, "occluded"),
        ({"raw": np.zeros((1, 5, 3))}, r"raw of 1 faces with 5 points are \(1, 5, 2\)"),
        ({"view": np.zeros(2)}, "view"),
        ({"scheme": ""}, "5 points per face, but no scheme"),
    ],
)
def test_arrays_that_do_not_fit(values: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        Faces(**{"points": np.zeros((1, 5, 2)), "boxes": np.zeros((1, 4)), "scheme": "5"} | values)


def test_faces_of_two_schemes_are_not_joined() -> None:
    with pytest.raises(ShapeError, match="different schemes"):
        Faces.concat([faces(1), faces(1, 68, scheme="68")])


def test_boxes_are_made_float32() -> None:
    one = as_boxes([1, 2, 3, 4])
    assert (one.shape, one.dtype) == ((1, 4), np.float32)
    assert as_boxes([]).shape == as_boxes(np.zeros((0, 4))).shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        ([1, 2, 3], r"\(F, 4\)"),
        (np.zeros((2, 2, 4)), r"\(F, 4\)"),
        ([[0, 0, 1, 1], [0, np.nan, 1, 1]], "box 1 .*finite"),
        ([0, 0, np.inf, 1], "box 0 .*finite"),
        ([[0, 0, 1, 1], [5, 5, 5, 9]], "box 1 has no area"),
        ([10, 10, 4, 20], "no area.*x0 y0 x1 y1"),
    ],
)
def test_wrong_boxes(boxes: object, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        as_boxes(boxes)  # type: ignore[arg-type]


def test_a_picture_is_passed_on() -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    assert as_image(picture) is picture


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros((4, 6), np.uint8), r"uint8 \(4, 6\)"),
        (np.zeros((4, 6, 4), np.uint8), r"\(4, 6, 4\)"),
        (np.zeros((4, 6, 3)), "float64"),
        (np.zeros((0, 6, 3), np.uint8), "empty"),
        ("photo.jpg", "str; canthus.read"),
    ],
)
def test_what_is_no_picture(value: object, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        as_image(value)  # type: ignore[arg-type]


def test_a_detector_of_single_images_takes_several() -> None:
    class Count(FaceDetector):
        def detect(self, image: np.ndarray) -> Faces:
            return Faces.of_boxes(np.tile([0, 0, 1, 1], (image[0, 0, 0], 1)))

    assert [len(some) for some in Count().detect_many([np.full((2, 2, 3), n, np.uint8) for n in (2, 0, 1)])] == [
        2,
        0,
        1,
    ]


def test_boxes_are_never_made_up() -> None:
    with pytest.raises(ShapeError, match=r"boxes of 2 faces"):
        Faces(np.zeros((2, 0, 2), np.float32), np.zeros((0, 4), np.float32))


def test_faces_are_shown_in_one_line() -> None:
    assert repr(faces(2)) == "<2 faces: 5 points of scheme 5, 2D>"
    assert repr(faces(1, dims=3)) == "<1 face: 5 points of scheme 5, 3D>"
    assert repr(Faces.of_boxes([[0, 0, 1, 1]])) == "<1 face: boxes alone>"
    assert repr(Faces.empty()) == "<0 faces: boxes alone>"


def test_faces_save_and_draw_themselves(tmp_path: Path) -> None:
    """As `load` reads files, and as `canthus.draw` draws."""
    some = faces(2)
    some.save(tmp_path / "group.json")
    some.save(tmp_path / "group.csv", "photos/group.jpg")
    for name, image in (("group.json", "group"), ("group.csv", "photos/group.jpg")):
        records = load(tmp_path / name)
        assert [record.image for record in records] == [image] * 2
        np.testing.assert_array_equal(np.stack([record.points for record in records]), some.points)
    with pytest.raises(OutputError, match="one face"):
        some.save(tmp_path / "group.pts")
    picture = np.zeros((30, 40, 3), np.uint8)
    np.testing.assert_array_equal(some.draw(picture, boxes=True), draw(picture, some, boxes=True))


def test_faces_as_a_table_of_pandas() -> None:
    some = faces(3)
    table = some.to_frame()
    assert table["face"].tolist() == [0, 1, 2] and table["scheme"].tolist() == ["5"] * 3
    np.testing.assert_allclose(table[["x0", "y0"]].to_numpy(), some.points[:, 0], rtol=1e-6)
    np.testing.assert_allclose(table["s4"], some.scores[:, 4], rtol=1e-6)
    np.testing.assert_allclose(table["yaw"], some.pose[:, 0], rtol=1e-6)
    assert len(Faces.empty("5", 5).to_frame()) == 0
