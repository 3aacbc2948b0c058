import numpy as np
import pytest

from canthus.data.wflw import read_wflw
from canthus.errors import DataError

LIST = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{}.txt"
FLAGS = {"a": "1 0 0 0 1 0", "b": "0 1 0 1 0 0", "c": "0 0 1 0 0 1"}


@pytest.fixture
def made(tmp_path, face, picture):
    truth = {}
    for split in ("train", "test"):
        lines = []
        for name, flags in FLAGS.items():
            image = f"0--Parade/{split}_{name}.jpg"
            picture(tmp_path / "WFLW_images" / image)
            truth[image] = face(98)
            numbers = " ".join(f"{value:.6f}" for value in truth[image].ravel())
            lines.append(f"{numbers} 3 4 23 26 {flags} {image}\n")
        path = tmp_path / LIST.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines))
    return tmp_path, truth


@pytest.mark.parametrize("split", ["train", "test"])
def test_lines_become_samples(made, split):
    folder, truth = made
    samples = read_wflw(folder, split)
    assert [sample.identity for sample in samples] == [f"0--Parade/{split}_{name}.jpg" for name in FLAGS]
    for sample in samples:
        assert sample.scheme == "98"
        assert np.allclose(sample.points, truth[sample.identity], atol=1e-5)
        assert sample.boxed("set").box.tolist() == [3, 4, 23, 26]
        assert sample.picture().shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("subset", "names"),
    [
        ("largepose", "a"),
        ("expression", "b"),
        ("illumination", "c"),
        ("makeup", "b"),
        ("occlusion", "a"),
        ("blur", "c"),
    ],
)
def test_the_subsets_are_of_the_test_faces(made, subset, names):
    assert [sample.identity for sample in read_wflw(made[0], subset)] == [
        f"0--Parade/test_{name}.jpg" for name in names
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda line: line.split(" ", 1)[1],
            r"test\.txt, line 2: 206 cells, but 98 points, box, flags and name are 207",
        ),
        (lambda line: "nan " + line.split(" ", 1)[1], r"test\.txt, line 2: point 0 is not a finite number"),
        (lambda line: "left " + line.split(" ", 1)[1], r"test\.txt, line 2: could not convert string"),
        (lambda line: line.replace("test_b", "none"), r"(?s)none\.jpg does not exist; expected\n.*WFLW_images/"),
    ],
)
def test_what_does_not_fit_is_named(made, change, message):
    path = made[0] / LIST.format("test")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], change(lines[1]), lines[2]]))
    with pytest.raises(DataError, match=message):
        read_wflw(made[0], "test")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"(?s)attr_test\.txt does not exist; expected\n.*WFLW_annotations/"):
        read_wflw(tmp_path, "test")
    with pytest.raises(DataError, match="WFLW has no split 'val'; it has train, test, largepose"):
        read_wflw(tmp_path, "val")
