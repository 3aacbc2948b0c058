import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from canthus.data.audit import audit
from canthus.data.catalogue import DATASETS, open_set, subset
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.evaluate.protocol import PROTOCOLS

DOC = Path(__file__).parents[2] / "docs/data.md"


def test_a_set_lies_in_the_folder_of_its_name(tmp_path, labelled_face):
    points = labelled_face(tmp_path / "pts/train/a.png", 5)
    (sample,) = open_set("pts", tmp_path, "train")
    assert np.allclose(sample.points, points, atol=1e-4)


def test_a_reader_can_be_given_another_folder(tmp_path, labelled_face):
    labelled_face(tmp_path / "my faces/01_Indoor/indoor_001.png")
    assert len(open_set("300w-private:my faces", tmp_path, "indoor")) == 1


def test_a_group_of_a_split(tmp_path, labelled_face):
    for name in ("helen/testset/1_1.jpg", "lfpw/testset/image_0001.png", "ibug/image_003_1.jpg"):
        labelled_face(tmp_path / "300w" / name)
    assert [sample.image.name for sample in open_set("300w", tmp_path, "test/common")] == ["1_1.jpg", "image_0001.png"]
    with pytest.raises(DataError, match="no sample is in the group 'blur'; this set has challenging, common, helen"):
        open_set("300w", tmp_path, "test/blur")


def test_parts_of_a_split_by_hash(tmp_path, labelled_face):
    """Two parts make the whole; a group and a part follow each other."""
    for index in range(30):
        labelled_face(tmp_path / f"300w/helen/testset/{index}_1.jpg")
    labelled_face(tmp_path / "300w/lfpw/testset/image_0001.png")
    labelled_face(tmp_path / "300w/ibug/image_003_1.jpg")
    low, high = (
        [s.image.name for s in open_set("300w", tmp_path, f"test/helen/part-{part}")] for part in ("0-80", "80-100")
    )
    assert sorted(low + high) == sorted(f"{index}_1.jpg" for index in range(30)) and len(low) > len(high) > 0


def test_options_reach_the_reader(tmp_path):
    with pytest.raises(DataError, match="AFLW2000-3D has no yaw 'guess'"):
        open_set("aflw2000-3d", tmp_path, "test", yaw="guess")


def test_an_unknown_set_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"no data set is called '68w'; canthus reads 300vw, 300w, .*ytf68"):
        open_set("68w", tmp_path, "test")


def missing(root, name):
    """What a reader says when its set is not there."""
    splits = {"300w-lp": "train", "aflw": "all", "aflw19": "full", "xm2vts": "all"}
    with pytest.raises(DataError) as caught:
        open_set(name, root, splits.get(name, "test"))
    return str(caught.value)


@pytest.mark.parametrize("name", DATASETS)
def test_every_reader_shows_the_tree_of_a_missing_set(tmp_path, name):
    first, rest = missing(tmp_path, name).split("\n", 1)
    assert re.fullmatch(rf"{tmp_path}/{name}\S* does not exist; expected", first)
    assert rest.startswith(f"{tmp_path}/{name}/\n  ")


@pytest.mark.parametrize("name", DATASETS)
def test_every_reader_says_what_it_takes_and_yields(name):
    text = inspect.getdoc(DATASETS[name])
    assert all(part in text for part in ("Args:", "folder:", "split:", "Returns:", "Raises:"))


def test_points_outside_the_picture_are_told_by_the_audit(tmp_path, labelled_face, pts):
    points = labelled_face(tmp_path / "xm2vts/000_1_1.ppm")
    points[16] = 69.5, 20
    pts(tmp_path / "xm2vts/000_1_1.pts", points)
    (finding,) = audit(open_set("xm2vts", tmp_path, "all"))
    assert finding.endswith("000_1_1.ppm: 1 points lie outside the picture (60 x 40), point 16 by 10.0 px")


def test_the_page_on_data_shows_every_set_as_its_reader_does(tmp_path):
    shown = dict(re.findall(r"^## ([^\n]+)\n\n```\n(.+?)\n```$", DOC.read_text(), re.MULTILINE | re.DOTALL))
    trees = {name: tree for names, tree in shown.items() for name in re.findall("`(.+?)`", names)}
    assert trees.keys() == DATASETS.keys()
    for names, tree in shown.items():
        first, *others = re.findall("`(.+?)`", names)
        assert missing(tmp_path, first).split("\n", 1)[1] == f"{tmp_path}/{tree}"
        for name in others:
            assert missing(tmp_path, name).split("\n", 2)[2] == tree.split("\n", 1)[1]


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_protocol_measures_on_a_split_that_its_reader_knows(tmp_path, protocol):
    with pytest.raises(DataError, match="does not exist; expected"):
        open_set(protocol.set, tmp_path, protocol.subset, **dict(protocol.options))


def test_subset_needs_a_member():
    with pytest.raises(DataError, match="no groups"):
        subset([Sample(Path("a"), np.zeros((1, 2)), "1", "a")], "blur")


def test_an_option_that_the_reader_does_not_have(tmp_path):
    with pytest.raises(DataError, match=r"views has no option 'colour'; its options are: scheme, labels"):
        open_set("views", tmp_path, "train", scheme="68", colour="red")
    with pytest.raises(DataError, match=r"wflw has no option 'scheme'; its options are: none"):
        open_set("wflw", tmp_path, "train", scheme="68")
