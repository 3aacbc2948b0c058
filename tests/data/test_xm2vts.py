import numpy as np
import pytest

from canthus.data.xm2vts import read_xm2vts
from canthus.errors import DataError


def test_people_and_points(tmp_path, labelled_face, picture):
    truth = [labelled_face(tmp_path / name) for name in ("000_1_1.ppm", "000_2_1.ppm", "001_1_1.ppm")]
    picture(tmp_path / "002_1_1.ppm")
    samples = read_xm2vts(tmp_path, "all")
    assert [sample.identity for sample in samples] == ["xm2vts:000", "xm2vts:000", "xm2vts:001"]
    assert all(np.allclose(sample.points, points, atol=1e-4) for sample, points in zip(samples, truth, strict=True))
    assert samples[0].scheme == "68"
    assert samples[0].picture().shape == (40, 60, 3)


def test_what_does_not_fit_is_named(tmp_path, labelled_face, pts, face):
    with pytest.raises(DataError, match=r"(?s)xm2vts does not exist; expected\n.*000_1_1\.pts"):
        read_xm2vts(tmp_path / "xm2vts", "all")
    points = labelled_face(tmp_path / "000_1_1.ppm")
    points[9] = np.nan
    pts(tmp_path / "000_1_1.pts", points)
    with pytest.raises(DataError, match=r"000_1_1\.pts: point 9 is not a finite number"):
        read_xm2vts(tmp_path, "all")[0]
    pts(tmp_path / "000_1_1.pts", face(64))
    with pytest.raises(DataError, match=r"000_1_1\.pts: the points are \(64, 2\)"):
        read_xm2vts(tmp_path, "all")[0]
    (tmp_path / "000_1_1.ppm").unlink()
    with pytest.raises(DataError, match=r"000_1_1\.pts has no picture"):
        read_xm2vts(tmp_path, "all")
