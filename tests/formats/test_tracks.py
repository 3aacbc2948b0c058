"""Tables of tracks: what is written is read back, in each format; pandas reads the same; damaged files are named."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from canthus.errors import FormatError, InputError, OutputError, ShapeError
from canthus.formats.table import load as load_points
from canthus.formats.tracks import points
from canthus.formats.tracks.moment import Layout, Moment
from canthus.formats.tracks.table import FORMATS, dump, load
from canthus.geometry.crop import box_of
from canthus.types import Faces

NUMBER = st.floats(-1e4, 1e4, width=32) | st.just(np.nan)
STATES = ("new", "tracked", "uncertain", "found again", 'odd, "quoted"')
LAW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
ALL = pytest.mark.parametrize("extension", FORMATS)


@st.composite
def faces_of(draw: st.DrawFn, count: int, dims: int) -> Faces:
    def some(*shape: int) -> np.ndarray:
        return draw(arrays(np.float32, shape, elements=NUMBER))

    places = some(count, 5, dims)
    places[:, 0] = np.nan_to_num(places[:, 0])  # a face has a point
    tracks = sorted(draw(st.sets(st.integers(1, 2**24 - 1), min_size=count, max_size=count)))
    return Faces(places, box_of(places), some(count, 5), some(count), some(count, 3), "5", identity=np.float32(tracks))


@st.composite
def moments_of(draw: st.DrawFn) -> list[Moment]:
    dims = draw(st.sampled_from([2, 3]))
    frames = sorted(draw(st.sets(st.integers(0, 10**6), min_size=1, max_size=5)))
    found = []
    for frame in frames:
        count = draw(st.integers(0, 3))
        faces = draw(faces_of(count, dims)) if count else Faces.empty("5", 5, dims)
        states = tuple(draw(st.sampled_from(STATES)) for _ in range(count))
        found.append(Moment(frame, draw(st.floats(0, 1e5)), faces, states))
    return found


def same(before: Sequence[Moment], after: Sequence[Moment]) -> None:
    for one, two in zip(before, after, strict=True):
        assert (one.frame, one.time, one.states) == (two.frame, two.time, two.states)
        assert len(one.faces) == len(two.faces) and one.faces.scheme == two.faces.scheme
        for name in Faces.arrays() if len(one.faces) else ():
            np.testing.assert_array_equal(getattr(one.faces, name), getattr(two.faces, name), err_msg=name)


@ALL
@LAW
@given(moments=moments_of())
def test_what_is_dumped_is_loaded_bit_for_bit(tmp_path: Path, extension: str, moments: list[Moment]) -> None:
    path = tmp_path / f"tracks{extension}"
    dump(path, moments)
    same(moments, load(path))
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def two_frames() -> list[Moment]:
    places = np.arange(20, dtype=np.float32).reshape(2, 5, 2) + np.float32(0.1)
    faces = Faces(places, box_of(places), np.full((2, 5), 0.5), [0.9, np.nan], [[1, 2, 3]] * 2, "5", identity=[1, 4])
    return [Moment(0, 0.0, Faces.empty("5", 5), ()), Moment(3, 0.125, faces, ("new", "tracked"))]


def test_the_columns_of_the_csv(tmp_path: Path) -> None:
    dump(tmp_path / "a.csv", two_frames())
    head, empty, first, _ = (tmp_path / "a.csv").read_text().splitlines()
    names = ",".join(f"x{at},y{at}" for at in range(5))
    assert head == f"frame,time,track,state,confidence,yaw,pitch,roll,{names},s0,s1,s2,s3,s4,scheme"
    assert empty == "0,0.0" + "," * 21 + ",5"
    assert first.startswith("3,0.125,1,new,0.9,1.0,2.0,3.0,0.1,1.1,2.1,")


def test_pandas_reads_the_same_from_csv_and_parquet(tmp_path: Path) -> None:
    for extension in (".csv", ".parquet"):
        dump(tmp_path / f"a{extension}", two_frames())
    text = pandas.read_csv(tmp_path / "a.csv", dtype={"scheme": str})
    table = pandas.read_parquet(tmp_path / "a.parquet")
    pandas.testing.assert_frame_equal(text, table, check_dtype=False, rtol=1e-6)
    assert table["track"].tolist()[1:] == [1, 4] and table["x1"].isna().tolist() == [True, False, False]


def test_a_json_line(tmp_path: Path) -> None:
    dump(tmp_path / "a.jsonl", two_frames())
    empty, line = map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())
    assert empty == {"frame": 0, "time": 0.0, "scheme": "5", "faces": []}
    assert line["faces"][1]["confidence"] is None and line["faces"][0]["track"] == 1
    assert line["faces"][0]["points"][1] == [2.1, 3.1] and line["faces"][0]["pose"] == {"yaw": 1, "pitch": 2, "roll": 3}


@ALL
def test_a_frame_without_a_face_has_the_shape_of_the_others(tmp_path: Path, extension: str) -> None:
    dump(tmp_path / f"a{extension}", two_frames())
    assert load(tmp_path / f"a{extension}")[0].faces.points.shape == (0, 5, 2)


def test_the_folder_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"holds no tracks\.csv"):
        load(tmp_path)
    dump(tmp_path / "tracks.jsonl", two_frames())
    same(two_frames(), load(tmp_path))


@ALL
def test_what_a_table_cannot_hold(tmp_path: Path, extension: str) -> None:
    first, second = two_frames()
    other = Faces(np.ones((1, 3, 2)), np.ones((1, 4)), scheme="5", identity=[1])
    path = tmp_path / f"a{extension}"
    for moments, says in (
        ([second, first], "frame 0 stands after frame 3"),
        ([second, Moment(4, 1.0, other, ("new",))], "one scheme and shape"),
    ):
        with pytest.raises(OutputError, match=says) as caught:
            dump(path, moments)
        assert path.name in str(caught.value) and not [*tmp_path.iterdir()]
    with pytest.raises(ShapeError, match="as many states"):
        Moment(0, 0.0, second.faces, ())
    with pytest.raises(ShapeError, match="identity"):
        Moment(0, 0.0, Faces.of_boxes([[0, 0, 1, 1]]), ("new",))
    with pytest.raises(OutputError, match=r"not in '\.xlsx'"):
        dump(tmp_path / "a.xlsx", [])


@ALL
def test_a_file_that_is_missing_or_damaged(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load(path)
    for content in (b"\xff\xfe\x00\x81", b"PAR1 no parquet PAR1", b"{}\n", b'{"frame": 1e400}'):
        path.write_bytes(content)
        with pytest.raises(FormatError) as caught:
            load(path)
        assert path.name in str(caught.value)


GOOD = "0,0.0,1,new" + ",1" * 7 + ",5"
HEAD = "frame,time,track,state,confidence,yaw,pitch,roll,x0,y0,s0,scheme\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a.csv:1: not a table of tracks"),
        ("image,face,x0,y0\n", "a.csv:1: not a table of tracks: the column 'frame'"),
        (HEAD.replace("s0", "s1"), "the column 's0' is missing"),
        (HEAD + GOOD + "\n1,2\n", "a.csv:3: 2 cells, but the header has 12"),
        (HEAD + GOOD.replace("1,new", "1.5,new"), "a.csv:2: 1.5 is not the number of a track"),
        (HEAD + GOOD.replace("1,new", "x,new"), "a.csv:2: 'x' is not a number"),
        (HEAD + GOOD.replace("0,0.0", "-1,0.0"), "a.csv:2: '-1' is not the number of a frame"),
        (HEAD + GOOD.replace("0,0.0", "0,"), "a.csv:2: '' is not a number"),
        (HEAD + GOOD.replace("0,0.0", "0,nan"), "a.csv: frame 0 has no time"),
        (HEAD + GOOD.replace(",1,1,5", ",1e400,1,5"), "a.csv:2: a value is infinite"),
        (HEAD + GOOD.replace(",1,1,1,5", ",,,1,5"), "a.csv:2: no point of a face"),
        (HEAD + GOOD + "\n" + GOOD.replace("1,new", ",new"), "a.csv:2: frame 0 has a row without a track"),
        (HEAD + GOOD.replace("0,", "3,", 1) + "\n" + GOOD, "frame 0 stands after frame 3"),
    ],
)
def test_a_wrong_csv_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(FormatError, match=says):
        load(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", r"a\.jsonl:1"),
        ('{"frame": 0, "time": 0, "scheme": "5"}', "a.jsonl:1: the field 'faces' is missing"),
        ('{"frame": 0, "time": 0, "scheme": "5", "faces": [{}]}', "the field 'points' is missing"),
        ('{"frame": 0, "time": 0, "scheme": "5", "faces": [{"points": [1]}]}', r"points are \(F, P"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "a.jsonl:1: "),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(FormatError, match=says):
        load(tmp_path / "a.jsonl")


def test_a_layout_of_no_face_is_that_of_the_empty_frames() -> None:
    assert Layout.of([Moment(0, 0.0, Faces.empty("68", 68, 3), ())]) == Layout("68", 68, 3)


def test_pts_files_of_each_frame_and_face(tmp_path: Path) -> None:
    points.dump(tmp_path / "points", two_frames())
    assert [item.name for item in sorted((tmp_path / "points").iterdir())] == ["000003_1.pts", "000003_4.pts"]
    (found,) = load_points(tmp_path / "points" / "000003_4.pts")
    np.testing.assert_allclose(found.points, two_frames()[1].faces.points[1], atol=1e-4)
