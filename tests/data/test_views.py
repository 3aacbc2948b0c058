import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.data.sample import split_by_identity
from canthus.errors import DataError
from canthus.schemes.scheme import Scheme


@pytest.fixture
def folder(tmp_path, rng, picture):
    """A run of three pictures of two people; only the first has an outline."""
    out = tmp_path / "views" / "train"
    names = [f"images/000/{index:06d}.png" for index in range(3)]
    for name in names:
        picture(out / name)
    outline = rng.uniform(0, 40, (3, 68, 3)).astype(np.float32)
    outline[1:] = np.nan
    index = {
        "images": np.array(names),
        "identities": np.array(["ann", "bob", "ann"]),
        "kind": np.array(["", "hand", ""]),
        "pose": rng.uniform(-9, 9, (3, 3)).astype(np.float32),
        "azimuth": np.array([-12.0, 45.0, -90.0], np.float32),
        "points_68": rng.uniform(0, 40, (3, 68, 3)).astype(np.float32),
        "visible_68": rng.random((3, 68)) < 0.5,
        "points_29": rng.uniform(0, 40, (3, 29, 3)).astype(np.float32),
        "visible_29": rng.random((3, 29)) < 0.5,
        "outline_68": outline,
    }
    np.savez(out / "index.npz", **index)
    return tmp_path, index


def test_rows_become_samples(folder):
    root, index = folder
    samples = open_set("views", root, "train")
    assert [sample.identity for sample in samples] == ["ann", "bob", "ann"]
    assert [sorted(sample.groups) for sample in samples] == [["front"], ["half", "hand"], ["profile", "profile_left"]]
    for row, sample in enumerate(samples):
        assert sample.scheme == "68" and sample.picture().shape == (40, 60, 3)
        assert np.array_equal(sample.points, index["points_68"][row, :, :2])
        assert np.array_equal(sample.visible, index["visible_68"][row])
        assert np.array_equal(sample.pose, index["pose"][row])
    assert [sample.identity for sample in open_set("views", root, "train/hand")] == ["bob"]


def test_pictures_of_one_occluder_are_left_out(folder):
    root, _ = folder
    assert [sample.identity for sample in open_set("views", root, "train", without="hand")] == ["ann", "ann"]
    with pytest.raises(DataError, match=r"no kind of occluder 'mask'; it has .*hand"):
        open_set("views", root, "train", without="mask")


def test_schemes_depth_and_outlines(folder):
    root, index = folder
    samples = open_set("views", root, "train", scheme="29", labels="3d")
    assert np.array_equal(samples[2].points, index["points_29"][2]) and samples[2].scheme == "29"
    assert np.array_equal(samples[2].visible, index["visible_29"][2])
    (outlined,) = open_set("views", root, "train", labels="outline")
    assert np.array_equal(outlined.points, index["outline_68"][0, :, :2])
    wide = [sample.points for sample in open_set("views", root, "train", labels="wide")]
    expected = [index["outline_68"][0, :, :2], *index["points_68"][1:, :, :2]]
    assert np.array_equal(np.stack(wide), np.stack(expected))


def test_each_face_in_the_scheme_of_its_view(folder, rng):
    """Outlines up to 60 degrees of azimuth; the half that is seen beyond."""
    root, index = folder
    halves = {f"points_39_{side}": rng.uniform(0, 40, (3, 39, 3)).astype(np.float32) for side in ("left", "right")}
    seen = {name.replace("points", "visible"): np.ones((3, 39), bool) for name in halves}
    index["azimuth"][1] = 61.0
    np.savez(root / "views" / "train" / "index.npz", **index, **halves, **seen)
    frontal, left, right = open_set("views", root, "train", scheme="view")
    assert [one.scheme for one in (frontal, left, right)] == ["68", "39_left", "39_right"]
    assert np.array_equal(frontal.points, index["outline_68"][0, :, :2])
    assert np.array_equal(left.points, halves["points_39_left"][2, :, :2])
    assert np.array_equal(right.points, halves["points_39_right"][1, :, :2])
    assert [one.image.name for one in (left, right)] == ["000002.png", "000001.png"]


def complete(rng, count):
    """Points and visibility of the schemes that 103 is made of, of `count` faces."""
    sizes = {"81": 81, "39_left": 39, "39_right": 39}
    points = {f"points_{name}": rng.uniform(0, 40, (count, size, 3)).astype(np.float32) for name, size in sizes.items()}
    return points | {f"visible_{name}": rng.random((count, size)) < 0.5 for name, size in sizes.items()}


def check_contours(samples, table, frontal):
    """Each point of 103 is that of its name in the scheme of its part; those of other views are NaN."""
    ours = Scheme.open("103")
    sides = {"front": "68", "half": "68", "profile_left": "39_left", "profile_right": "39_right"}
    for row, sample in enumerate(samples):
        (view,) = {sides[group] for group in sample.groups if group in sides}
        for point, seen, name in zip(sample.points, sample.visible, ours.names, strict=True):
            own = "81" if ours.names.index(name) in ours.groups["inner"] else view
            source = Scheme.open(own).names
            if name not in source:
                assert np.isnan(point).all() and not seen
                continue
            expected = frontal if own == "68" else table[f"points_{own}"]
            np.testing.assert_array_equal(point, expected[row, source.index(name), :2])
            assert seen == table[f"visible_{own}"][row, source.index(name)]


def test_each_face_with_the_contour_of_its_view(folder, rng):
    """The scheme 103 of views: the outline of 68 up to 60 degrees of azimuth, that of the side that is seen beyond."""
    root, index = folder
    table = index | complete(rng, 3) | {"azimuth": np.array([-12.0, 60.0, -90.0], np.float32)}
    np.savez(root / "views" / "train" / "index.npz", **table)
    samples = open_set("views", root, "train", scheme="103", labels="outline")
    assert [np.isfinite(one.points).all(1).sum() for one in samples] == [17 + 62, 12 + 62, 12 + 62]
    check_contours(samples, table, index["outline_68"])
    (alone,) = open_set("views", root, "train", scheme="79", labels="outline")
    np.testing.assert_array_equal(alone.points, samples[0].points[:79])
    table["points_39_right"][1, 4] = np.nan
    np.savez(root / "views" / "train" / "index.npz", **table)
    assert len(open_set("views", root, "train", scheme="103", labels="outline")) == 2
    with pytest.raises(DataError, match="has no scheme '103'; it has"):
        open_set("views", root, "train", scheme="103")
    del table["points_39_right"]
    np.savez(root / "views" / "train" / "index.npz", **table)
    with pytest.raises(DataError, match="'points_39_right' is missing, not"):
        open_set("views", root, "train", scheme="103", labels="outline")


def test_photographs_with_the_contour_of_their_view(tmp_path, rng, picture):
    """The scheme 103 of fits: the annotated contour of 68, and in profiles that of the fitted 39."""
    picture(tmp_path / "photographs" / "a.png")
    turns = np.deg2rad([-20, 75, -75])
    rotation = np.stack([[[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]] for a in turns])
    table = complete(rng, 3) | {
        "images": np.array(["a.png"] * 3),
        "identities": np.array(["ann"] * 3),
        "pose": np.zeros((3, 3), np.float32),
        "rotation": rotation.astype(np.float32),
        "folder": np.array("../photographs"),
        "labels": rng.uniform(0, 40, (3, 68, 2)).astype(np.float32),
        "visible_68": rng.random((3, 68)) < 0.5,
    }
    (tmp_path / "fits").mkdir()
    np.savez(tmp_path / "fits" / "train.npz", **table)
    samples = open_set("fits", tmp_path, "train", scheme="103", labels="outline")
    assert len({frozenset(one.groups) for one in samples}) == 3
    check_contours(samples, table, table["labels"])


def test_one_person_stays_on_one_side(folder):
    for part in split_by_identity(open_set("views", folder[0], "train"), (0.5, 0.5)):
        assert len([sample for sample in part if sample.identity == "ann"]) in (0, 2)


def test_what_does_not_fit_is_told(folder):
    root, index = folder
    with pytest.raises(DataError, match="has no scheme '84'; it has 68, 29"):
        open_set("views", root, "train", scheme="84")
    with pytest.raises(DataError, match="views has no labels '4d'; it has 2d, 3d, outline, wide"):
        open_set("views", root, "train", labels="4d")
    (root / "views" / "train" / index["images"][1]).unlink()
    with pytest.raises(DataError, match=r"000001\.png does not exist; were pictures moved"):
        open_set("views", root, "train")
    np.savez(root / "views" / "train" / "index.npz", points_68=index["points_68"])
    with pytest.raises(DataError, match="lacks azimuth, identities, images, kind, pose; make it again"):
        open_set("views", root, "train")
    (root / "views" / "train" / "index.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="is damaged"):
        open_set("views", root, "train")


def test_tables_of_fits_are_data_sets(tmp_path, rng, picture):
    """Photographs with points of all schemes; their azimuth comes from the rotation."""
    picture(tmp_path / "photographs" / "a.png")
    turn = np.deg2rad(40)
    rotation = np.array([[[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]]).swapaxes(1, 2)
    table = {
        "images": np.array(["a.png"]),
        "identities": np.array(["ann"]),
        "pose": np.array([[40.0, 0, 0]], np.float32),
        "rotation": rotation.astype(np.float32),
        "folder": np.array("../photographs"),
        "points_84": rng.uniform(0, 40, (1, 84, 3)).astype(np.float32),
        "visible_84": rng.random((1, 84)) < 0.5,
    }
    (tmp_path / "fitted").mkdir()
    np.savez(tmp_path / "fitted" / "val.npz", **table)
    (sample,) = open_set("fits:fitted", tmp_path, "val", scheme="84")
    assert sample.picture().shape == (40, 60, 3)
    assert np.array_equal(sample.points, table["points_84"][0])
    assert np.array_equal(sample.visible, table["visible_84"][0])
    assert "half" in sample.groups
    (flat,) = open_set("fits:fitted", tmp_path, "val", scheme="84", labels="2d")
    assert np.array_equal(flat.points, table["points_84"][0, :, :2])
    with pytest.raises(DataError, match=r"lacks the labels \(F, 68, 2\)"):
        open_set("fits:fitted", tmp_path, "val", scheme="view")
    halves = {f"points_39_{side}": rng.uniform(0, 40, (1, 39, 3)).astype(np.float32) for side in ("left", "right")}
    seen = {name.replace("points", "visible"): np.ones((1, 39), bool) for name in halves}
    own = {"labels": rng.uniform(0, 40, (1, 68, 2)).astype(np.float32), "visible_68": np.ones((1, 68), bool)}
    np.savez(tmp_path / "fitted" / "val.npz", **table, **halves, **seen, **own)
    (frontal,) = open_set("fits:fitted", tmp_path, "val", scheme="view")
    assert frontal.scheme == "68" and np.array_equal(frontal.points, own["labels"][0])
    (own_points,) = open_set("fits:fitted", tmp_path, "val", labels="outline")
    assert np.array_equal(own_points.points, own["labels"][0])
    with pytest.raises(DataError, match="fits has no labels 'wide'; it has 2d, 3d, outline"):
        open_set("fits:fitted", tmp_path, "val", labels="wide")
    full = {"points_81": rng.uniform(0, 40, (1, 81, 3)).astype(np.float32), "visible_81": np.ones((1, 81), bool)}
    np.savez(tmp_path / "fitted" / "val.npz", **table, **own, **full)
    (mixed,) = open_set("fits:fitted", tmp_path, "val", scheme="79", labels="outline")
    names, frontal, inner = (Scheme.open(name).names for name in ("79", "68", "81"))
    for point, name in zip(mixed.points, names, strict=True):
        of_contour = name.startswith("jaw") or name == "chin"
        own_point = own["labels"][0][frontal.index(name)] if of_contour else full["points_81"][0, inner.index(name), :2]
        assert np.array_equal(point, own_point)
    del table["folder"]
    np.savez(tmp_path / "fitted" / "val.npz", **table)
    with pytest.raises(DataError, match="lacks folder; make it again"):
        open_set("fits:fitted", tmp_path, "val", scheme="84")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("azimuth", np.array([0, np.nan, 0]), "an azimuth is not a number of degrees"),
        ("azimuth", np.zeros(2), r"'azimuth' is \(2,\), not \(3,\)"),
        ("pose", np.full((3, 3), "x"), "'pose' holds no numbers"),
        ("points_68", np.zeros((3, 68)), r"'points_68' is \(3, 68\), not \(F, P, 3\)"),
        ("visible_68", np.zeros((3, 67)), r"'visible_68' is \(3, 67\), not \(3, 68\)"),
        ("images", np.array(["x" * 5000] * 3), "does not exist"),
    ],
)
def test_an_index_that_is_damaged(folder, name, value, says):
    root, index = folder
    np.savez(root / "views" / "train" / "index.npz", **{**index, name: value})
    with pytest.raises(DataError, match=rf"index\.npz: .*{says}"):
        open_set("views", root, "train")
