import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.errors import ShapeError
from canthus.face3d.annotation_bias import learn_bias
from canthus.face3d.fit import Fitter
from canthus.geometry.pose import rotation
from canthus.schemes.scheme import Scheme


def test_offsets_are_found_again(toy, make_faces, rng):
    """A third of the inner points are labelled elsewhere, alike on all faces."""
    scheme, fitter = Scheme.open("68"), Fitter(toy.model, "68")
    poses = np.column_stack([rng.uniform(-40, 40, 80), rng.uniform(-20, 20, 80), rng.uniform(-10, 10, 80)])
    truth = make_faces(toy.model, poses, rng)
    bias = np.zeros((68, 3))
    bias[20:60:4] = rng.normal(0, 0.25, (10, 3))
    bias = (bias + bias[scheme.mirror] * (-1, 1, 1)) / 2
    shifted = truth.labels + truth.scale * np.einsum("fij,pj->fpi", rotation(poses)[:, :2], bias)
    before = fitter.fit(shifted)
    found = learn_bias(fitter, shifted)
    after = fitter.with_bias(found).fit(shifted)
    assert found == pytest.approx(found[scheme.mirror] * (-1, 1, 1), abs=0.02)
    assert np.corrcoef(found[17:].ravel(), bias[17:].ravel())[0, 1] > 0.8
    assert after.error.mean() < 0.5 * before.error.mean()
    assert np.abs(after.identity.mean(0)).max() < np.abs(before.identity.mean(0)).max()
    assert np.abs(after.camera.pose - poses).mean() < np.abs(before.camera.pose - poses).mean() + 0.3


def test_too_few_faces(toy, make_faces, rng):
    labels = make_faces(toy.model, np.zeros((10, 3)), rng).labels
    with pytest.raises(ShapeError, match="10 of 10"):
        learn_bias(Fitter(toy.model, "68"), labels)


@pytest.mark.data
@pytest.mark.parametrize("name", ["wild68", "ytf68"])
def test_residual_of_people_the_bias_was_not_learnt_on(face_model, data_root, name):
    sets = [np.stack([sample.points for sample in open_set(name, data_root, split)]) for split in ("train", "val")]
    train, val = (points[:: len(points) // count] for points, count in zip(sets, (60, 30), strict=True))
    fitter = Fitter(face_model, "68")
    fit = fitter.with_bias(learn_bias(fitter, train, rounds=2)).fit(val)
    share = fit.residual.mean(1) / np.linalg.norm(val[:, 36] - val[:, 45], axis=-1)
    assert share.mean() < 0.024
    assert share.mean() < 0.9 * fitter.fit(val).error.mean()
