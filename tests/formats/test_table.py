import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import loadmat

from canthus.errors import FormatError, InputError, OutputError, ShapeError
from canthus.formats.record import Record
from canthus.formats.table import FORMATS, dump, load
from canthus.work.files import replace_whole

NUMBER = st.floats(-1e4, 1e4, width=32) | st.just(np.nan)
LAW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
FIELDS = ("image", "scheme", "identity", "confidence", "size", "view")
ARRAYS = ("points", "box", "scores", "pose", "occluded", "raw", "plane")


@st.composite
def record(draw: st.DrawFn, count: int, dims: int) -> Record:
    def maybe(shape: int | tuple[int, int], values: st.SearchStrategy[float] = NUMBER) -> np.ndarray | None:
        array = draw(st.none() | arrays(np.float32, shape, elements=values))
        return None if array is None or np.isnan(array).all() else array

    return Record(
        image=draw(st.sampled_from(["a.jpg", "b/c d.png", 'Ä,"x".png'])),
        points=draw(arrays(np.float32, (count, dims), elements=NUMBER)),
        scheme="68",
        identity=draw(st.sampled_from(["", "Ann", "Bo, the 2nd"])),
        box=maybe(4, st.floats(-1e4, 1e4, width=32)),
        scores=maybe(count),
        confidence=float(draw(NUMBER)),
        pose=maybe(3),
        occluded=maybe(count),
        raw=maybe((count, 2)),
        view=draw(st.sampled_from([0.0, 1.0, 2.0, np.nan])),
        plane=maybe((68, 2)),
    )


records = st.tuples(st.integers(1, 4), st.sampled_from([2, 3])).flatmap(
    lambda shape: st.lists(record(*shape), min_size=1, max_size=4)
)


def same(a: Record, b: Record, fields: tuple[str, ...] = FIELDS + ARRAYS) -> None:
    for name in fields:
        left, right = getattr(a, name), getattr(b, name)
        if name in ARRAYS:
            assert (left is None) == (right is None), name
            np.testing.assert_array_equal(left, right, err_msg=name)
        else:
            assert left == right or (left != left and right != right), name


@pytest.mark.parametrize("extension", [".csv", ".json", ".npz", ".mat"])
@LAW
@given(faces=records)
def test_what_is_dumped_is_loaded_bit_for_bit(tmp_path: Path, extension: str, faces: list[Record]) -> None:
    path = tmp_path / f"faces{extension}"
    dump(path, faces)
    for before, after in zip(faces, load(path), strict=True):
        same(before, after)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@LAW
@given(faces=records)
def test_pts_keeps_the_points(tmp_path: Path, faces: list[Record]) -> None:
    dump(tmp_path / "one.pts", faces[:1])
    (back,) = load(tmp_path / "one.pts")
    assert back.image == "one"
    np.testing.assert_allclose(back.points, faces[0].points, rtol=1e-6, atol=6e-5)


@LAW
@given(faces=records)
def test_ljson_keeps_the_points_bit_for_bit(tmp_path: Path, faces: list[Record]) -> None:
    if faces[0].points.shape[1] == 3:
        with pytest.raises(OutputError, match=r"one\.ljson: .*without depth; write \.json"):
            dump(tmp_path / "one.ljson", faces[:1])
        return
    dump(tmp_path / "one.ljson", faces[:1])
    (back,) = load(tmp_path / "one.ljson")
    assert back.image == "one"
    np.testing.assert_array_equal(back.points, faces[0].points)
    assert len(json.loads((tmp_path / "one.ljson").read_text())["landmarks"]["points"]) == len(faces[0].points)


def test_ljson_is_y_x_from_zero_in_every_version(tmp_path: Path) -> None:
    second = {"version": 2, "labels": [], "landmarks": {"points": [[0, 1.5], [None, None]], "connectivity": []}}
    for tree in (second, {"landmarks": second["landmarks"]}, {"version": 3, "groups": {"LJSON": second}}):
        (tmp_path / "a.ljson").write_text(json.dumps(tree))
        np.testing.assert_array_equal(load(tmp_path / "a.ljson")[0].points, [[1.5, 0], [np.nan, np.nan]])


def test_mat_is_read_by_an_independent_reader(tmp_path: Path) -> None:
    faces = [Record(name, np.ones((2, 2)), "68", "Ann", occluded=np.array([0, 1])) for name in ("ä b.jpg", "")]
    dump(tmp_path / "a.mat", faces)
    found = loadmat(tmp_path / "a.mat", squeeze_me=True)
    assert found["points"].shape == (2, 2, 2) and found["occluded"].tolist() == [[0, 1]] * 2
    assert [str(name) if np.size(name) else "" for name in found["images"]] == ["ä b.jpg", ""]
    assert found["scheme"] == "68" and "scores" not in found
    dump(tmp_path / "a.mat", [])
    assert load(tmp_path / "a.mat") == []


def test_the_first_pixel_of_a_pts_file_is_one_one(tmp_path: Path) -> None:
    text = "version: 1\r\nn_points:  2\r\n{\r\n1.0 1.0\r\n10.5 nan\r\n}\r\n"
    (tmp_path / "a.pts").write_text(text)
    np.testing.assert_array_equal(load(tmp_path / "a.pts")[0].points, [[0, 0], [9.5, np.nan]])
    dump(tmp_path / "b.pts", [Record("x", np.array([[0, 0], [9.5, 2]]))])
    assert (tmp_path / "b.pts").read_text() == "version: 1\nn_points: 2\n{\n1.0000 1.0000\n10.5000 3.0000\n}\n"


def test_a_folder_of_pts_files(tmp_path: Path) -> None:
    for name in ("b.pts", "sub/a.pts"):
        dump(tmp_path / name, [Record("x", np.zeros((5, 2)))])
    assert [item.image for item in load(tmp_path)] == ["b", "sub/a"]
    for name in (".b.part.pts", ".killed.part/c.pts"):  # what a kill leaves
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("half")
    assert [item.image for item in load(tmp_path)] == ["b", "sub/a"]
    (tmp_path / "none").mkdir()
    with pytest.raises(FormatError, match=r"holds no \.pts"):
        load(tmp_path / "none")


def test_csv_as_others_write_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "\ufeffimage,identity,x0,y0,x1,y1,mood\nx.jpg,Ann,1,2,,4,glad\n\ny.jpg,Bo,5,6,7,8,sad\n", encoding="utf-8"
    )
    first, second = load(path)
    assert (first.image, first.identity, second.identity, first.box) == ("x.jpg", "Ann", "Bo", None)
    np.testing.assert_array_equal(first.points, [[1, 2], [np.nan, 4]])


def test_csv_is_read_by_an_independent_reader(tmp_path: Path) -> None:
    box = np.array([1, 2, 3.5, 4])
    faces = [
        Record("a", np.array([[1, 2.5]])),
        Record("a", np.array([[3, np.nan]]), box=box),
        Record("b"),
        Record("c", np.ones((1, 2))),
    ]
    dump(tmp_path / "a.csv", faces)
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [(row["image"], row["face"], row["x0"], row["y0"], row["bx1"]) for row in rows] == [
        ("a", "0", "1.0", "2.5", ""),
        ("a", "1", "3.0", "", "3.5"),
        ("b", "", "", "", ""),
        ("c", "0", "1.0", "1.0", ""),
    ]


def test_what_is_not_known_is_not_written(tmp_path: Path) -> None:
    """Byte for byte the files of versions without hidden points, raw points and views."""
    face = Record("a", np.array([[1, 2.5]]), "5", "Ann", np.arange(4), np.array([0.5]), 0.25, np.array([1, 2, 3]))
    known = replace(face, occluded=[0.5], raw=[[3, np.nan]], view=1)
    header, row = "image,face,identity,scheme,x0,y0,bx0,by0,bx1,by1,confidence,yaw,pitch,roll,s0", "a,0,Ann,5,1.0,2.5"
    row += ",0.0,1.0,2.0,3.0,0.25,1.0,2.0,3.0,0.5"
    dump(tmp_path / "a.csv", [face])
    assert (tmp_path / "a.csv").read_text() == f"{header}\n{row}\n"
    dump(tmp_path / "a.csv", [known])
    assert (tmp_path / "a.csv").read_text() == f"{header},o0,rx0,ry0,view\n{row},0.5,3.0,,1.0\n"
    dump(tmp_path / "a.json", [face])
    plain = (tmp_path / "a.json").read_text()
    dump(tmp_path / "a.json", [known])
    more = ', "occluded": [0.5], "raw": [[3.0, null]], "view": 1.0}'
    assert (tmp_path / "a.json").read_text() == plain.replace('"scores": [0.5]}', f'"scores": [0.5]{more}')
    assert '"scores": [0.5]}' in plain
    dump(tmp_path / "a.npz", [face])
    labels, numbers = ["identities", "images", "scheme"], ["boxes", "confidence", "points", "pose", "scores"]
    assert sorted(np.load(tmp_path / "a.npz")) == sorted(labels + numbers)


def test_json_has_the_published_form(tmp_path: Path) -> None:
    face = Record(
        "a.jpg", np.array([[1, np.nan]]), "5", "", np.arange(4), np.array([0.5]), 0.25, np.array([1, 2, 3]), (64, 48)
    )
    dump(tmp_path / "a.json", [face, face, Record("empty.jpg", size=(8, 9))])
    tree = json.loads((tmp_path / "a.json").read_text())
    one = {
        "box": [0, 1, 2, 3],
        "confidence": 0.25,
        "pose": {"yaw": 1, "pitch": 2, "roll": 3},
        "points": [[1, None]],
        "scores": [0.5],
    }
    assert tree["images"] == [
        {"image": "a.jpg", "width": 64, "height": 48, "scheme": "5", "faces": [one, one]},
        {"image": "empty.jpg", "width": 8, "height": 9, "faces": []},
    ]


@pytest.mark.parametrize("extension", [".csv", ".json"])
def test_an_image_without_a_face_stays(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    dump(path, [Record("none.jpg"), Record("some.jpg", np.ones((2, 2)))])
    assert [(item.image, item.empty) for item in load(path)] == [("none.jpg", True), ("some.jpg", False)]


def test_a_box_without_points_is_a_face(tmp_path: Path) -> None:
    for path in (tmp_path / "a.csv", tmp_path / "a.json", tmp_path / "a.npz", tmp_path / "a.mat"):
        dump(path, [Record("a.jpg", box=np.arange(4))])
        (back,) = load(path)
        assert not back.empty
        np.testing.assert_array_equal(back.box, np.arange(4))


def test_faces_of_two_schemes_share_a_json_file_alone(tmp_path: Path) -> None:
    mixed = [Record("a", np.ones((2, 2)), "68"), Record("a", np.ones((3, 2)), "39_left")]
    dump(tmp_path / "a.json", mixed)
    assert [item.scheme for item in load(tmp_path / "a.json")] == ["68", "39_left"]
    for extension in (".csv", ".npz", ".mat", ".pts", ".ljson"):
        with pytest.raises(OutputError, match=rf"/a\{extension}: .*write \.json"):
            dump(tmp_path / f"a{extension}", mixed)
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_npz_of_points_alone(tmp_path: Path, rng: np.random.Generator) -> None:
    points = rng.normal(size=(3, 68, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", points=points)
    np.testing.assert_array_equal([item.points for item in load(tmp_path / "a.npz")], points)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.pts", "version: 1\nn_points: 3\n{\n1 1\n2 2\n}\n", "n_points says 3, but there are 2"),
        ("a.pts", "version: 1\nn_points: 2\n{\n1 1\n2 2\n", "cut short"),
        ("a.pts", "", "cut short"),
        ("a.pts", "version: 1\nn_points: 1\n{\n1 one\n}\n", "a.pts:4: 'one' is not a number"),
        ("a.pts", "n_points: 2\n{\n1 1\n2\n}\n", "a.pts:4: a point is"),
        ("a.pts", "n_points: 1\n{\n1 inf\n}\n", "infinite"),
        ("a.pts", "n_points: 1\n{\n1 1e300\n}\n", "infinite"),
        ("a.csv", "", "no column 'image'"),
        ("a.csv", "image,x0\na,1\n", "'y0' is missing"),
        ("a.csv", "image,x0,y0,bx0\n", "'by0' is missing"),
        ("a.csv", "image,x0,y0,x2,y2\n", "'x1' is missing"),
        ("a.csv", "image,x0,y0,x0\n", "twice"),
        ("a.csv", "image,x0,y0\na,1,2\nb,1\n", "a.csv:3: 2 cells, but the header has 3"),
        ("a.csv", "image,x0,y0\na,1,two\n", "a.csv:2: 'two' is not a number"),
        ("a.json", '{"images": [\n{"a": }]}', "a.json:2: not JSON"),
        ("a.json", "[]", 'no list "images"'),
        ("a.json", '{"images": [{"image": "a", "faces": [{}]}]}', r"images\[0\]: the field 'points' is missing"),
        ("a.json", '{"images": [{"image": "a", "faces": [{"points": [[1, 2], [3]]}]}]}', r"images\[0\]"),
        (
            "a.json",
            '{"images": [{"image": "a", "faces": [{"points": [[1, 2]], "box": [1]}]}]}',
            r"images\[0\]: the box",
        ),
        ("a.json", '{"images": [7]}', r"images\[0\]"),
        ("a.npz", "no zip", r"not a \.npz file"),
        ("a.npz", "", r"not a \.npz file"),
        ("a.csv", "image,x0,y0,rx0\n", "'ry0' is missing"),
        (
            "a.json",
            '{"images": [{"image": "a", "faces": [{"points": [[1, 2]], "raw": [1]}]}]}',
            r"images\[0\]: the raw",
        ),
        ("a.mat", "no MATLAB at all", r"not a \.mat file"),
        ("a.mat", "", r"not a \.mat file"),
        ("a.ljson", "{", r"a\.ljson:1: not JSON: .*; restore the file"),
        ("a.ljson", "[]", "no Menpo landmarks .*; restore the file"),
        ("a.ljson", '{"groups": []}', "no Menpo landmarks"),
        ("a.ljson", '{"groups": {"a": {}, "b": {}}}', "holds 2 groups of landmarks, not one; export one"),
        ("a.ljson", '{"landmarks": {"points": [[1, 2], [3]]}}', "no Menpo landmarks"),
        ("a.ljson", '{"landmarks": {"points": [[1, 2, 3]]}}', r"are \(1, 3\), not rows y x .*projected_image_space"),
        ("a.ljson", '{"landmarks": {"points": [[1, 1e300]]}}', "infinite"),
        ("a.ljson", "[" * 200_000, "nested too deeply"),
        ("a.json", '{"images": [' * 50_000, "nested too deeply"),
        ("a.json", "9" * 5000, "a number has more digits"),
        (
            "a.json",
            '{"images": [{"image": "a", "width": 1e400, "height": 1, "faces": []}]}',
            r"images\[0\]: cannot convert",
        ),
        (
            "a.json",
            '{"images": [{"image": "a", "width": 0, "height": 1, "faces": []}]}',
            r"images\[0\]: .*at least one pixel",
        ),
        (
            "a.json",
            '{"images": [{"image": "a", "faces": [{"points": [[1e400, 2]]}]}]}',
            r"images\[0\]: a value is infinite",
        ),
        (
            "a.json",
            '{"images": [{"image": "a", "faces": [{"points": [[1' + "0" * 400 + ", 2]]}]}]}",
            r"images\[0\]: int too large",
        ),
        ("a.ljson", '{"landmarks": {"points": [[1' + "0" * 400 + ", 2]]}}", "no Menpo landmarks"),
        ("a.csv", "image,x0,y0\na,1e400,2\n", "a.csv:2: a value is infinite"),
        ("a.csv", "image,x0,y0\na,1,2\nb," + "1" * 131_073 + ",2\n", r"a\.csv:3: field larger than field limit"),
        ("a.txt", "", r"\.pts, \.csv, \.json, \.npz, \.mat, \.ljson files, not in '\.txt'"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=says) as caught:
        load(tmp_path / name)
    assert name in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    for extension in (".pts", ".csv", ".json", ".ljson"):
        (tmp_path / f"a{extension}").write_bytes(b"\xff\xfe\x00\x81")
        with pytest.raises(FormatError, match="UTF-8"):
            load(tmp_path / f"a{extension}")


def test_npz_with_wrong_arrays(tmp_path: Path) -> None:
    for arrays_, says in (
        ({"point": np.zeros((1, 2, 2))}, r"has point \(1, 2, 2\)"),
        ({"points": np.zeros((2, 2))}, "needs an array"),
        ({"points": np.zeros((2, 3, 2)), "boxes": np.zeros((1, 4))}, "'boxes'"),
        (
            {"points": np.zeros((2, 3, 2)), "scores": np.zeros((2, 4))},
            r"'scores' is \(2, 4\), but the points need \(2, 3\)",
        ),
        ({"points": np.array([[[None, 1]]], object)}, "plain arrays"),
        ({"points": np.zeros((2, 3, 2)), "scores": np.full((2, 3), "x")}, "'scores' holds <U1, not numbers"),
        ({"points": np.zeros((2, 3, 2)), "images": np.zeros(2)}, "'images' holds float64, not text"),
        ({"points": np.zeros((2, 3, 2)), "scheme": np.array(["68", "5"])}, r"'scheme' is \(2,\)"),
        ({"points": np.full((1, 3, 2), 1e300)}, "a value that is infinite"),
        ({"points": np.zeros((5, 0, 2), np.float32)}, "neither points nor boxes"),
        ({"points": np.zeros((10_001, 1, 2), np.int8)}, "10,001 faces in"),
    ):
        np.savez_compressed(tmp_path / "a.npz", **arrays_)
        with pytest.raises(FormatError, match=says):
            load(tmp_path / "a.npz")


@pytest.mark.parametrize("extension", FORMATS)
def test_a_missing_file(tmp_path: Path, extension: str) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load(tmp_path / f"a{extension}")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with replace_whole(path) as part:
        part.write_text("old")
    with pytest.raises(KeyError), replace_whole(path) as part:
        part.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert [item.name for item in path.parent.iterdir()] == ["a.txt"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.json").mkdir()
    for path in (tmp_path / "file" / "a.json", tmp_path / "folder.json"):
        with pytest.raises(OutputError, match="cannot be written"):
            dump(path, [Record("a")])
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder.json"]


@pytest.mark.parametrize(
    "values",
    [
        {"points": np.zeros(4)},
        {"points": np.zeros((2, 4))},
        {"box": np.zeros(3)},
        {"points": np.zeros((2, 2)), "scores": np.zeros(3)},
        {"points": np.full((1, 2), np.inf)},
        {"confidence": np.inf},
    ],
)
def test_a_record_checks_its_shapes(values: dict[str, np.ndarray]) -> None:
    with pytest.raises(ShapeError):
        Record("a", **values)


@pytest.mark.data
def test_the_shared_csv(data_root: Path) -> None:
    faces = load(data_root / "wild68" / "val.csv")
    assert len(faces) == 170
    assert {item.points.shape for item in faces} == {(68, 2)}
    assert all(item.identity for item in faces)
