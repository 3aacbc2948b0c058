"""New labels on disk: what the CSV, the index and the settings hold."""

import csv
import json

import cv2
import numpy as np
import pytest

from canthus.data.listed.landmarks_csv import read_csv
from canthus.errors import DataError, OutputError
from canthus.face3d.table import Faces2D
from canthus.synth.relabel.denoise import Cleaned
from canthus.synth.relabel.labels import write_labels


@pytest.fixture
def faces(tmp_path, rng):
    """Three faces of a set whose pictures lie in images/."""
    for index in range(3):
        (tmp_path / "old" / "images").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "old" / "images" / f"{index}.png"), np.full((80, 90, 3), 50 * index, np.uint8))
    names = tuple(f"images/{index}.png" for index in range(3))
    return Faces2D(names, ("a", "a", "b"), rng.uniform(10, 70, (3, 68, 2)), np.full((3, 2), 80.0), "68")


def cleaned(faces: Faces2D, *problems: str) -> Cleaned:
    points = faces.points + 1
    points[0, 4] = np.nan
    return Cleaned(points, np.linalg.norm(points - faces.points, axis=-1) / 40, np.zeros((3, 68), bool), problems)


def test_a_missing_point_is_an_empty_cell_and_a_refused_face_has_no_row(faces, tmp_path):
    new = cleaned(faces, "", "a reason", "")
    write_labels(tmp_path / "new", "val", faces, tmp_path / "old", new, {"limit": 0.1})
    samples = read_csv(tmp_path / "new", "val")
    assert [(sample.image.name, sample.identity) for sample in samples] == [("0.png", "a"), ("2.png", "b")]
    np.testing.assert_allclose(samples[0].points, new.points[0], atol=0.001)
    assert np.isnan(samples[0].points[4]).all()
    with (tmp_path / "new" / "val.csv").open() as lines:
        assert [row["image"] for row in csv.DictReader(lines)] == [f"../../old/images/{index}.png" for index in (0, 2)]
    with np.load(tmp_path / "new" / "val.npz") as index:
        assert index["problems"].tolist() == ["", "a reason", ""]
        np.testing.assert_allclose(
            index["points"] - index["labels"], np.where(np.isnan(new.points), np.nan, 1), rtol=1e-5
        )
    settings = json.loads((tmp_path / "new" / "val.json").read_text())
    assert settings == {"limit": 0.1, "faces": 2, "refused": 1, "points_kept": 0}


def test_a_split_is_not_replaced_and_other_splits_stay(faces, tmp_path):
    new = cleaned(faces, "", "", "")
    write_labels(tmp_path / "new", "val", faces, tmp_path / "old", new, {})
    write_labels(tmp_path / "new", "train", faces, tmp_path / "old", new, {})
    assert len(read_csv(tmp_path / "new", "val")) == 3
    with pytest.raises(OutputError, match=r"val\.csv exists"):
        write_labels(tmp_path / "new", "val", faces, tmp_path / "old", new, {})


def test_nothing_is_written_where_nothing_is_left(faces, tmp_path):
    with pytest.raises(DataError, match="all 3 faces are refused"):
        write_labels(tmp_path / "new", "val", faces, tmp_path / "old", cleaned(faces, "x", "y", "z"), {})
    assert not (tmp_path / "new").exists()
