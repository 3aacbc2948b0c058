import cv2
import numpy as np
import pytest

from canthus.errors import DataError
from canthus.face3d.table import Faces2D, FitJob
from canthus.synth.faces import open_labelled
from canthus.synth.fits import make_table, with_learnt_bias


@pytest.fixture
def faces(toy, make_faces, rng):
    """A hundred faces whose nose tips are labelled too low."""
    poses = np.column_stack([rng.uniform(-40, 40, 100), rng.uniform(-20, 20, 100), np.zeros(100)])
    labels = make_faces(toy.model, poses, rng).labels
    labels[:, 30, 1] += 6
    names = tuple(f"{index}.png" for index in range(100))
    return Faces2D(names, names, labels, np.full((100, 2), 600.0), "68")


def test_the_bias_is_learnt_and_kept(toy, faces, tmp_path):
    job = FitJob(toy.path, None, "68")
    learnt = with_learnt_bias(job, faces)
    assert learnt.offsets is not None
    assert learnt.offsets[30, 1] > 0.1
    assert with_learnt_bias(job, faces.thinned(99)) is job
    few = faces.thinned(5)
    plain, better = (make_table(some, few, tmp_path, tmp_path / "fits.npz") for some in (job, learnt))
    assert better.mean < plain.mean
    assert (better.faces, sum(better.yaws), better.failures) == (5, 5, ())
    assert open_labelled(tmp_path / "fits.npz").bias == pytest.approx(learnt.offsets)


def test_a_sheet_where_there_are_pictures(toy, faces, tmp_path):
    job, few, ticks = FitJob(toy.path, None, "68"), faces.thinned(3), []
    summary = make_table(job, few, tmp_path, tmp_path / "fits.npz", tick=ticks.append)
    assert summary.missing == tmp_path / few.images[0] and not (tmp_path / "fits.png").exists()
    for name in few.images:
        cv2.imwrite(str(tmp_path / name), np.full((600, 600, 3), 90, np.uint8))
    assert make_table(job, few, tmp_path, tmp_path / "fits.npz").missing is None
    assert (tmp_path / "fits.png").is_file() and sum(ticks) == 3
    assert not (tmp_path / ".fits.npz.parts").exists()


def test_faces_that_cannot_be_fitted(toy, faces, tmp_path):
    few = faces.thinned(2)
    few.points[0, 5:] = np.nan
    summary = make_table(FitJob(toy.path, None, "68"), few, tmp_path, tmp_path / "fits.npz")
    assert summary.faces == 1 and summary.failures[0].startswith("0.png: too few points")
    few.points[1, 5:] = np.nan
    with pytest.raises(DataError, match="none of the 2 faces"):
        make_table(FitJob(toy.path, None, "68"), few, tmp_path, tmp_path / "none.npz")
