"""The network's predictions, fits matched to their labels, and weights that a rehearsal finds."""

import cv2
import numpy as np
import pytest

from canthus.errors import InputError, ReadError, SchemeError, ShapeError
from canthus.face3d.fit import Fitter
from canthus.face3d.table import Faces2D
from canthus.runtime.bundle import default_bundle
from canthus.schemes.scheme import Scheme
from canthus.synth.faces import open_fits
from canthus.synth.relabel.denoise import Estimates, frames
from canthus.synth.relabel.priors import Prior, Rehearsal, fitted

SCHEME = Scheme.open("68")


@pytest.fixture(scope="module")
def prior():
    return Prior.open(default_bundle(), "68")


def test_predictions_of_a_mirrored_picture_are_mirrored(prior, tmp_path, rng):
    pictures = [cv2.GaussianBlur(rng.integers(0, 256, (90, 120, 3)).astype(np.uint8), (0, 0), 3) for _ in range(2)]
    labels = rng.uniform(20, 80, (2, 68, 2))
    for index, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
        cv2.imwrite(str(tmp_path / f"{index}m.png"), picture[:, ::-1])
    count: list[int] = []
    there = prior.points([tmp_path / f"{index}.png" for index in range(2)], labels, count.append)
    back = prior.points([tmp_path / f"{index}m.png" for index in range(2)], SCHEME.mirrored(labels, 120))
    assert sum(count) == 2 and there.shape == (2, 68, 2)
    np.testing.assert_allclose(SCHEME.mirrored(back, 120), there, atol=0.01)


def test_small_faces_are_told_in_pixels_of_the_picture(prior, tmp_path):
    rows, columns = np.mgrid[:400, :400]
    picture = np.stack([128 + 100 * np.sin(rows / 40), 128 + 100 * np.sin(columns / 50), rows / 2], -1)
    cv2.imwrite(str(tmp_path / "a.png"), picture.astype(np.uint8))
    labels = np.random.default_rng(0).uniform(100, 300, (1, 68, 2))
    whole = prior.points([tmp_path / "a.png"], labels)
    small = Prior(prior.aligner, 120.0).points([tmp_path / "a.png"], labels)
    assert 0 < np.abs(whole - small).mean() < 5  # in pixels of the reduced picture they would be over 40 apart


def test_a_prior_of_another_scheme_or_picture(prior, tmp_path):
    with pytest.raises(SchemeError, match="of scheme 51"):
        Prior.open(default_bundle(), "51")
    with pytest.raises(ReadError):
        prior.points([tmp_path / "none.png"], np.zeros((1, 68, 2)))


@pytest.fixture
def good(studio):
    return open_fits(studio.table, studio.folder)


def faces_of(good, order=None) -> Faces2D:
    order = list(range(len(good))) if order is None else order
    labels = good.columns["labels"][order].astype(float)
    names = tuple(good.name(face) for face in order)
    return Faces2D(names, names, labels, np.full((len(order), 2), np.nan), "68")


def test_fits_are_matched_by_picture_and_labels(good, studio):
    faces = faces_of(good, [3, 1, 7])
    points, unit = fitted(good, faces)
    np.testing.assert_array_equal(points, good.columns["fitted"][[3, 1, 7], :, :2])
    np.testing.assert_array_equal(unit, good.columns["inter_ocular"][[3, 1, 7]])
    strange = Faces2D(("images/03.png", "other.png"), ("", ""), faces.points[:2], np.full((2, 2), np.nan), "68")
    points, unit = fitted(good, strange)
    assert np.isnan(points[1]).all() and np.isnan(unit).tolist() == [False, True]


def test_tables_that_do_not_belong_to_the_labels(good, studio):
    faces = faces_of(good)
    with pytest.raises(InputError, match="other labels there"):
        fitted(good, Faces2D(faces.images, faces.identities, faces.points + 1, faces.sizes, "68"))
    with pytest.raises(InputError, match="another set or split"):
        fitted(good, Faces2D(("x.png",), ("",), faces.points[:1], faces.sizes[:1], "68"))
    with pytest.raises(SchemeError, match="of scheme 51"):
        fitted(good, Faces2D(("x.png",), ("",), faces.points[:1, 17:], faces.sizes[:1], "51"))


def rehearse(good, toy, prior, rng, noise):
    """Labels 4 % off and a net 2 % off, both at random."""
    truth, unit = good.columns["labels"].astype(float), good.columns["inter_ocular"].astype(float)
    off = rng.normal(0, 1, (2, *truth.shape)) * np.sqrt(2 / np.pi) * unit[:, None, None]
    noisy = Estimates(truth + 0.04 * off[0], truth, truth + 0.02 * off[1])
    axes = frames(noisy.label, unit, SCHEME)
    return Rehearsal(good, Fitter(toy.model, "68"), prior, noise, draws=2).choose(noisy, axes)


def test_a_rehearsal_finds_the_better_source(good, toy, prior, rng):
    choice = rehearse(good, toy, prior, rng, {"contour": 0.04, "inner": 0.04})
    for group in ("contour", "inner"):
        errors, (label, _, net) = choice.errors[group], choice.weights[group]
        np.testing.assert_allclose(errors["label"], 0.04, rtol=0.05)
        assert 0.01 < errors["net"] < 0.025  # the bias of so few faces takes some of the noise
        assert net > label
        assert errors["blend"] <= errors["label and fit"] < errors["label"]


def test_noise_that_the_disagreement_does_not_leave_room_for(good, toy, prior, rng):
    with pytest.raises(ShapeError, match="give a smaller error"):
        rehearse(good, toy, prior, rng, {"contour": 0.04, "inner": 0.1})
