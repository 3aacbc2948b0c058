from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.errors import DataError, FormatError, InputError, SchemeError
from canthus.evaluate.table import Table, fits, load_table, table_of_samples
from canthus.formats import table as formats
from canthus.schemes.scheme import Scheme

SCHEME = Scheme.open("68")


@pytest.fixture
def records(make_faces):
    faces = make_faces(3).astype(np.float32)
    return [formats.Record(f"set/{index}.jpg", points, identity=f"p{index}") for index, points in enumerate(faces)]


@pytest.mark.parametrize("ending", [".csv", ".json", ".npz", ".mat"])
def test_every_format_gives_the_same_table(tmp_path, records, ending):
    formats.dump(tmp_path / f"p{ending}", records)
    table = load_table(tmp_path / f"p{ending}", SCHEME)
    assert (table.points == np.stack([record.points for record in records])).all()
    assert table.images == ("set/0.jpg", "set/1.jpg", "set/2.jpg")
    assert table.identities == ("p0", "p1", "p2")


@pytest.mark.parametrize("ending", [".csv", ".json", ".npz", ".mat"])
def test_depth_and_hidden_points_come_along(tmp_path, records, ending, rng):
    deep = [np.column_stack([record.points, rng.uniform(0, 9, 68)]) for record in records]
    hidden = np.round(rng.random((3, 68)), 2)
    known = [
        replace(record, points=points, occluded=flags)
        for record, points, flags in zip(records, deep, hidden, strict=True)
    ]
    formats.dump(tmp_path / f"p{ending}", known)
    table = load_table(tmp_path / f"p{ending}", SCHEME)
    assert (table.points == np.stack(deep).astype(np.float32)).all()
    assert (table.visible == (hidden.astype(np.float32) < 0.5)).all()
    known[1].occluded[4] = np.nan
    formats.dump(tmp_path / f"p{ending}", known)
    assert load_table(tmp_path / f"p{ending}", SCHEME).visible is None


def test_a_folder_of_pts_counts_from_1_whatever_is_asked(tmp_path, records):
    for record in records:
        path = (tmp_path / record.image).with_suffix(".pts")
        path.parent.mkdir(exist_ok=True)
        formats.dump(path, [record])
    for origin in (0, 1):
        table = load_table(tmp_path, SCHEME, origin)
        assert table.points == pytest.approx(np.stack([record.points for record in records]), abs=1e-3)
        assert table.images == ("set/0", "set/1", "set/2")


def test_other_files_are_shifted_when_they_count_from_1(tmp_path, records):
    formats.dump(tmp_path / "p.csv", records)
    assert load_table(tmp_path / "p.csv", SCHEME, 1).points == pytest.approx(
        load_table(tmp_path / "p.csv", SCHEME).points - 1
    )


def test_all_that_an_npz_may_hold(tmp_path, rng):
    arrays = {
        "points": rng.uniform(0, 9, (4, 68, 2)),
        "scores": rng.random((4, 68)),
        "visible": rng.random((4, 68)) < 0.5,
        "pose": np.array([[10.0, 0, 0]] * 4),
        "boxes": np.ones((4, 4)),
        "scheme": np.array("68"),
    }
    np.savez(tmp_path / "p.npz", **arrays)
    table = load_table(tmp_path / "p.npz", SCHEME)
    assert table.yaw.tolist() == [10.0] * 4
    assert (table.visible == arrays["visible"]).all()
    assert (table.box("set") == 1).all()
    assert table.images == ()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"landmarks": np.zeros((2, 68, 2))}, r"needs an array 'points' .* has landmarks \(2, 68, 2\)"),
        ({"points": np.zeros((68, 2))}, r"has points \(68, 2\)"),
        (
            {"points": np.zeros((2, 68, 2)), "images": np.array(["a"])},
            r"'images' is \(1,\), but the points need \(2,\)",
        ),
        ({"points": np.full((2, 68, 2), "x")}, "not numbers"),
    ],
)
def test_an_npz_that_is_something_else(tmp_path, arrays, message):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(FormatError, match=message):
        load_table(tmp_path / "p.npz", SCHEME)


def test_files_that_are_broken_missing_or_of_another_scheme(tmp_path, records):
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    with pytest.raises(FormatError, match=r"broken.npz: not a .npz file"):
        load_table(tmp_path / "broken.npz", SCHEME)
    with pytest.raises(InputError, match=r"no.npz"):
        load_table(tmp_path / "no.npz", SCHEME)
    with pytest.raises(InputError, match=r"no.mat"):
        load_table(tmp_path / "no.mat", SCHEME)
    formats.dump(tmp_path / "p.csv", records)
    with pytest.raises(SchemeError, match=r"68 points per face, but scheme 98 has 98.*--scheme"):
        load_table(tmp_path / "p.csv", Scheme.open("98"))
    np.savez(tmp_path / "named.npz", points=np.zeros((1, 68, 2)), scheme=np.array("84"))
    with pytest.raises(SchemeError, match="holds points of scheme 84, not 68"):
        load_table(tmp_path / "named.npz", SCHEME)


def test_a_file_of_several_schemes_is_refused(tmp_path):
    faces = [formats.Record("a", np.zeros((count, 2), np.float32)) for count in (68, 39)]
    formats.dump(tmp_path / "p.json", faces)
    with pytest.raises(FormatError, match="several schemes"):
        load_table(tmp_path / "p.json", SCHEME)
    formats.dump(tmp_path / "empty.json", [formats.Record("a")])
    with pytest.raises(FormatError, match="holds no points"):
        load_table(tmp_path / "empty.json", SCHEME)


def samples(faces: np.ndarray, **values) -> list[Sample]:
    return [
        Sample(Path(f"root/s/{index}.png"), points, "68", f"p{index}", **values) for index, points in enumerate(faces)
    ]


def test_labels_of_samples(make_faces):
    faces = make_faces(3).astype(np.float32)
    box = np.array([1, 2, 3, 4], np.float32)
    known = samples(faces, visible=np.ones(68, bool), pose=np.array([30, 0, 0], np.float32), boxes={"set": box})
    table = table_of_samples(known, Path("root"), SCHEME)
    assert table.images == ("s/0.png", "s/1.png", "s/2.png")
    assert table.visible.all() and table.yaw.tolist() == [30, 30, 30]
    assert table.box("set").tolist() == [[1, 2, 3, 4]] * 3
    labels = table.labels(SCHEME, "set")
    assert labels.boxes is not None and labels.cuts[0].index.tolist() == [2, 2, 2]


def test_faces_that_their_points_do_not_span_have_true_boxes_of_their_own(make_faces):
    own = np.array([0, 0, 9, 9], np.float32)
    samples = [Sample(Path("a.jpg"), points, "68", "a", box=own) for points in make_faces(2)]
    table = table_of_samples(samples, Path(), Scheme.open("68"))
    assert table.box("truth").tolist() == [[0, 0, 9, 9]] * 2
    with pytest.raises(DataError, match=r"choose one of truth \("):
        table.box("jitter")


def test_what_only_some_samples_know_is_not_known(make_faces):
    faces = make_faces(2).astype(np.float32)
    some = [*samples(faces[:1], visible=np.ones(68, bool)), *samples(faces[1:])]
    table = table_of_samples(some, Path("root"), SCHEME)
    assert table.visible is None and table.yaw is None
    assert table.box("truth") == pytest.approx(np.concatenate([faces.min(1), faces.max(1)], 1))
    with pytest.raises(DataError, match=r"no boxes 'jitter'; choose one of truth \(--box-source\)"):
        table.box("jitter")


def test_sets_without_faces_or_of_several_schemes_are_refused():
    with pytest.raises(DataError, match="empty"):
        table_of_samples([], Path("root"), SCHEME)
    other = [Sample(Path("a.png"), np.zeros((39, 2), np.float32), "39_left", "p")]
    with pytest.raises(DataError, match="scheme 39_left besides 68"):
        table_of_samples(other, Path("root"), SCHEME)


def test_profiles_of_both_sides_are_one_scheme():
    left = Scheme.open("39_left")
    assert fits("39_left", left) and fits("39_right", left)
    assert not fits("68", left)
    faces = [
        Sample(Path(f"{side}.png"), np.ones((39, 2), np.float32), f"39_{side}", side) for side in ("left", "right")
    ]
    assert len(table_of_samples(faces, Path("root"), left)) == 2


@pytest.mark.data
def test_the_shared_test_set(data_root):
    table = table_of_samples(open_set("wild68", data_root, "test"), data_root / "wild68", SCHEME)
    assert len(table) == 224
    assert table.box("tight") == pytest.approx(table.box("truth"), abs=0.02)
    assert table.picture(0).shape[2] == 3


def test_a_table_has_as_many_faces_as_points():
    assert len(Table(np.zeros((7, 5, 2), np.float32))) == 7
