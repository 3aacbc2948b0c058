"""Files beside the landmarks, in the form of aflw68 and infant68."""

import csv

import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.errors import DataError


@pytest.fixture
def hidden(tmp_path, face, picture):
    """Two faces of 68 points: on the first a hand hides point 3, and the head itself point 16."""
    folder = tmp_path / "aflw68"
    names = ("0003-image1.jpg", "0004-image2.jpg")
    rows = [["image", "identity", *(f"{axis}{index}" for index in range(68) for axis in "xy")]]
    for name in names:
        picture(folder / "images" / name)
        rows.append([name, f"aflw:{name[5:11]}", *map(str, face(68).ravel())])
    rows[1][2 + 2 * 16 : 4 + 2 * 16] = ["", ""]
    codes = [[1] * 68 for _ in names]
    codes[0][3], codes[0][16] = 2, 0
    write(folder / "val.csv", rows)
    write(
        folder / "visibility.csv",
        [["image", *(f"v{i}" for i in range(68))], *([n, *c] for n, c in zip(names, codes, strict=True))],
    )
    write(folder / "flags.csv", [["image", "turned", "tilted"], [names[0], 1, 0], [names[1], -1, 1]])
    return folder


def write(path, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def test_what_hides_a_point(hidden):
    first, second = open_set("aflw68", hidden.parent, "val")
    assert np.flatnonzero(~first.visible).tolist() == [3, 16]
    assert np.flatnonzero(np.isnan(first.points).any(1)).tolist() == [16]  # what a thing hides is annotated
    assert second.visible.all()


def test_flags_are_groups(hidden):
    assert [sample.groups for sample in open_set("aflw68", hidden.parent, "val")] == [{"turned"}, {"tilted"}]
    (only,) = open_set("aflw68", hidden.parent, "val/tilted")
    assert only.image.name == "0004-image2.jpg"


def test_without_the_files_nothing_is_known(hidden):
    (hidden / "visibility.csv").unlink()
    (hidden / "flags.csv").unlink()
    (first, _) = open_set("aflw68", hidden.parent, "val")
    assert first.visible is None
    assert first.groups == frozenset()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "visibility.csv",
            "0004-image2.jpg",
            "0005-image3.jpg",
            r"visibility\.csv in .* has no row for 0004-image2\.jpg; ",
        ),
        (
            "visibility.csv",
            ",1,2,",
            ",1,3,",
            r"visibility\.csv, line 2: '3' is not 1 \(visible\), 2 .*; correct the cell",
        ),
        (
            "visibility.csv",
            ",1,2,",
            ",1,0,",
            r"visibility\.csv: point 3 of 0003-image1\.jpg is 0 .*; write 2, or leave",
        ),
        ("visibility.csv", "v67", "w67", r"visibility\.csv: the header is image,v0,v1,"),
        ("visibility.csv", ",1,2,", ",2,", r"visibility\.csv, line 2: 68 cells, but the header has 69"),
        (
            "flags.csv",
            "0004-image2.jpg",
            "b.jpg",
            r"flags\.csv in .* has no row for 0004-image2\.jpg; remove the file or add",
        ),
        ("flags.csv", "-1,1", "yes,1", r"flags\.csv, line 3: 'yes' is not 1 \(yes\), 0 \(no\) or -1"),
        ("flags.csv", "image,", "name,", r"flags\.csv: the header is image,NAME,\.\.\., not name,turned,tilted"),
    ],
)
def test_what_does_not_fit_is_named(hidden, file, old, new, message):
    text = (hidden / file).read_text()
    assert old in text
    (hidden / file).write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        open_set("aflw68", hidden.parent, "val")


def test_as_many_codes_as_points(hidden):
    rows = [line.split(",")[:-1] for line in (hidden / "visibility.csv").read_text().splitlines()]
    write(hidden / "visibility.csv", rows)
    with pytest.raises(
        DataError, match=r"visibility\.csv: 67 columns v0, v1, \.\.\., but 0003-image1\.jpg has 68 points"
    ):
        open_set("aflw68", hidden.parent, "val")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sizes"),
    [("infant68", {"train": 217, "val": 40}), ("aflw68", {"train": 1633, "val": 160}), ("helen68", {"train": 114})],
)
def test_the_shared_sets(data_root, name, sizes):
    parts = {split: open_set(name, data_root, split) for split in sizes}
    assert {split: len(part) for split, part in parts.items()} == sizes
    people = [{sample.identity for sample in part} for part in parts.values()]
    assert sum(map(len, people)) == len(set().union(*people))
    samples = [sample for part in parts.values() for sample in part]
    assert {sample.scheme for sample in samples} == {"68"}
    unknown = np.stack([np.isnan(sample.points).any(1) for sample in samples])
    assert unknown.any() == (name == "aflw68")
    if name == "aflw68":
        visible = np.stack([sample.visible for sample in samples])
        assert not (visible & unknown).any()
        assert (int((~visible & ~unknown).sum()), int(unknown.sum())) == (11237, 2569)
    if name == "infant68":
        assert sum("tilted" in sample.groups for sample in samples) == 84
