"""Sets in an order of their own, in the form of fgnet68 and scut86."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.data.catalogue import open_set
from canthus.data.listed.order_map import MAPS, OrderMap
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.geometry.crop import box_of
from canthus.schemes.scheme import Scheme

FRONTAL = Scheme.open("68")
OWN = Scheme.open("98")
"""Stands for the order of a set: like that of the sets it has a mirror symmetry of its own."""


@pytest.fixture
def tiny(tmp_path, face, picture):
    """The data sets' folder with two faces of a set of 86 points, and the map."""
    points = {name: face(86) for name in ("AF1.jpg", "CM2.jpg")}
    rows = [["image", "identity", *(f"{axis}{index}" for index in range(86) for axis in "xy")]]
    for name, one in points.items():
        picture(tmp_path / "scut86/images" / name)
        rows.append([name, f"scut:{name[:3]}", *map(str, one.ravel())])
    with (tmp_path / "scut86/train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    (tmp_path / MAPS).write_text(json.dumps({"note": "words", "scut86": {"8": [11], "36": [46], "37": [45, 44]}}))
    return tmp_path, list(points.values())


def test_listed_points_take_their_places(tiny):
    root, truth = tiny
    samples = open_set("scut86", root, "train")
    for sample, own in zip(samples, truth, strict=True):
        assert (sample.scheme, sample.points.shape) == ("68", (68, 2))
        assert np.flatnonzero(np.isfinite(sample.points).all(1)).tolist() == [8, 36, 37]
        np.testing.assert_array_equal(sample.points[[8, 36]], own[[11, 46]])
        np.testing.assert_allclose(sample.points[37], own[44:46].mean(0), rtol=1e-6)
    assert samples[0].identity == "scut:AF1"


def test_the_face_box_is_that_of_brows_and_lower_contour(tiny):
    """Not of the known points, which miss the cheeks, nor of the hairline."""
    root, truth = tiny
    for sample, own in zip(open_set("scut86", root, "train"), truth, strict=True):
        np.testing.assert_array_equal(sample.box, box_of(np.delete(own, [0, 1, 2, 3, 19, 20, 21], 0)))
        np.testing.assert_array_equal(sample.boxed("face").box, sample.box)


def test_the_own_order_bears_the_name_of_the_set(tiny):
    root, truth = tiny
    samples = open_set("scut86", root, "train", points="own")
    assert {sample.scheme for sample in samples} == {"scut86"}
    np.testing.assert_array_equal([sample.points for sample in samples], truth)
    with pytest.raises(DataError, match="scut86 has no points '98'; it has 68, own"):
        open_set("scut86", root, "train", points="98")


def test_any_csv_set_can_be_mapped(tiny):
    root, _ = tiny
    (root / "scut86").rename(root / "mine")
    (root / "maps.json").write_text(json.dumps({"mine": {"30": [5]}}))
    (first, _) = open_set("csv:mine", root, "train", maps="maps.json")
    assert np.isfinite(first.points).all(1).sum() == 1
    assert first.box is None  # which of its points span the face is not known


def test_an_own_order_is_not_read_as_ibug(tiny):
    """fgnet68 has 68 points, too: without the map they would pass for those of iBUG."""
    root, _ = tiny
    with pytest.raises(DataError, match=r"train\.csv: maps_to_ibug68\.json lists this set: .*; open it as 'scut86'"):
        open_set("csv:scut86", root, "train")


def test_depth_is_averaged_as_well():
    points = np.arange(24, dtype=np.float32).reshape(1, 8, 3)
    parts = [()] * 68
    parts[30], parts[33] = (1, 3), (7,)
    mapped = OrderMap(Path("maps.json"), "a", tuple(parts)).apply(points)
    assert mapped.shape == (1, 68, 3)
    assert mapped[0, 30].tolist() == [6, 7, 8]
    assert mapped[0, 33].tolist() == points[0, 7].tolist()


def test_a_mean_is_visible_where_all_of_it_is():
    parts = [()] * 68
    parts[30], parts[33], parts[36] = (0, 1), (1,), (2,)
    sample = Sample(Path("a.jpg"), np.zeros((3, 2)), "a", "a", visible=np.array([False, True, True]))
    mapped = OrderMap(Path("maps.json"), "a", tuple(parts)).mapped(sample)
    assert np.flatnonzero(mapped.visible).tolist() == [33, 36]
    assert OrderMap(Path("maps.json"), "a", tuple(parts)).mapped(replace(sample, visible=None)).visible is None


@given(
    sources=st.dictionaries(st.integers(0, 67), st.lists(st.integers(0, 97), min_size=1, max_size=3), min_size=1),
    seed=st.integers(0, 99),
)
def test_mapping_and_mirroring_commute(sources, seed):
    parts = [()] * 68
    for target, chosen in sources.items():
        partner = int(FRONTAL.mirror[target])
        mirrored = [int(OWN.mirror[index]) for index in chosen]
        parts[target], parts[partner] = tuple(chosen), tuple(mirrored)
        if partner == target:
            parts[target] = (*chosen, *mirrored)
    order = OrderMap(Path("maps.json"), "a", tuple(parts))
    points = np.random.default_rng(seed).uniform(0, 100, (2, 98, 2))
    there = FRONTAL.mirrored(order.apply(points), 101)
    back = order.apply(OWN.mirrored(points, 101))
    np.testing.assert_allclose(there, back, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"maps_to_ibug68\.json does not exist; it maps the points of scut86 .*: copy it from the data sets"),
        ("{", r"maps_to_ibug68\.json:1: not JSON: .*; restore the file"),
        ("[1]", r"maps_to_ibug68\.json: not a JSON object of maps by the name of the set; restore the file"),
        ('{"note": "", "fgnet68": {}}', r"maps_to_ibug68\.json has no map for scut86, only for fgnet68; add one"),
        ('{"scut86": {"68": [1]}}', r"scut86 maps to point 68, but iBUG has 0 to 67; correct it"),
        ('{"scut86": {"8": [-1]}}', r"scut86 maps \[-1\] to point 8, not a list of indices; correct it"),
        ('{"scut86": {"8": 11}}', r"scut86 maps 11 to point 8, not a list of indices; correct it"),
        ('{"scut86": {"8": []}}', r"scut86 maps \[\] to point 8, not a list of indices; correct it"),
        ('{"scut86": {"8": [86]}}', r"scut86 maps point 86 to 8, but its labels have 86 points; correct the index"),
    ],
)
def test_what_is_wrong_with_a_map_is_named(tiny, text, message):
    root, _ = tiny
    (root / MAPS).unlink()
    if text is not None:
        (root / MAPS).write_text(text)
    with pytest.raises(DataError, match=message):
        open_set("scut86", root, "train")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sizes", "own", "known"),
    [
        ("fgnet68", {"train": 760, "val": 90}, 68, 31),
        ("scut86", {"train": 1000, "val": 150}, 86, 36),
        ("london189", {"train": 102}, 189, 21),
    ],
)
def test_the_shared_sets(data_root, name, sizes, own, known):
    """As many faces as the owner says; left and right are not confused: the mean face is symmetric."""
    parts = {split: open_set(name, data_root, split) for split in sizes}
    assert {split: len(part) for split, part in parts.items()} == sizes
    people = [{sample.identity for sample in part} for part in parts.values()]
    assert sum(map(len, people)) == len(set().union(*people))
    assert {len(s.points) for s in open_set(name, data_root, "train", points="own")} == {own}
    samples = parts["train"]
    points = np.stack([sample.points for sample in samples])
    found = np.isfinite(points).all(-1)
    assert (found.sum(1) == known).all()
    order = OrderMap.open(data_root / MAPS, name)
    sizes_of = np.array([len(part) for part in order.parts])
    np.testing.assert_array_equal(sizes_of, sizes_of[FRONTAL.mirror])
    boxes = np.stack([sample.box for sample in samples])
    middle = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None]
    mean = np.median((points - middle) / (boxes[:, 2:] - boxes[:, :2]).max(1)[:, None, None], 0)
    skew = np.abs(mean - FRONTAL.mirrored(mean, 1))[found[0]]
    assert skew.max() < 0.03
