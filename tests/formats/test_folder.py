"""Folders of results, read again."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.errors import DataError
from canthus.formats.table import load
from canthus.types import Faces
from canthus.writer.images import ResultFolder


@pytest.mark.parametrize("kinds", ["csv,json,pts", "json,pts", "pts"])
def test_a_folder_of_results_is_read_as_canthus_detect_wrote_it(tmp_path: Path, kinds: str) -> None:
    """Whatever kinds of files it holds, the faces have the names of their images; pictures beside them train."""
    rng = np.random.default_rng(1)
    for name in ("one", "sub/two_3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"{name}.png"), rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    files = [Path("one.png"), Path("sub/two_3.png")]
    points = rng.uniform(5, 30, (2, 5, 2)).astype(np.float32)
    faces = Faces(points, np.array([[1, 2, 30, 31]] * 2), np.ones((2, 5)), scheme="5")
    with ResultFolder(tmp_path, [tmp_path / file for file in files], tmp_path, kinds.split(",")) as sink:
        for file in files:
            sink.write(tmp_path / file, np.zeros((40, 40, 3), np.uint8), faces)
    found = load(tmp_path)
    assert [Path(record.image).with_suffix("").as_posix() for record in found] == ["one"] * 2 + ["sub/two_3"] * 2
    np.testing.assert_allclose(np.stack([record.points for record in found]), [*points, *points], atol=1e-3)
    samples = open_set(f"pts:{tmp_path.name}", tmp_path.parent, "")
    assert [sample.identity for sample in samples] == ["one"] * 2 + ["sub/two_3"] * 2
    if "csv" in kinds:
        rows = open_set(f"csv:{tmp_path.name}", tmp_path.parent, "faces", identity="image")
        assert [row.identity for row in rows] == ["one.png"] * 2 + ["sub/two_3.png"] * 2
        assert rows[3].picture().shape == (40, 40, 3)
        with pytest.raises(DataError, match="give the option `identity: image`"):
            open_set(f"csv:{tmp_path.name}", tmp_path.parent, "faces")
