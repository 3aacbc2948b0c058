import numpy as np
import pytest

from canthus.errors import SchemeError, ShapeError
from canthus.face3d.table import Faces2D
from canthus.runtime.bundle import default_bundle
from canthus.synth.faces import open_fits
from canthus.synth.relabel.clean import Cleaning, GoodSet, clean

HALF = {"contour": (0.5, 0.5, 0.0), "inner": (0.5, 0.5, 0.0)}


@pytest.fixture
def faces(studio):
    table = open_fits(studio.table, studio.folder)
    names = tuple(table.name(face) for face in range(len(table)))
    return Faces2D(names, names, table.columns["labels"].astype(float), np.full((len(names), 2), np.nan), "68")


def test_half_label_half_fit(studio, faces):
    cleaned, weights, choice = clean(faces, Cleaning(studio.table, studio.folder, weights=HALF))
    fit = open_fits(studio.table, studio.folder).columns["fitted"][..., :2]
    assert cleaned.points == pytest.approx((faces.points + fit) / 2, abs=1e-3)
    assert (weights, choice, set(cleaned.problems)) == (HALF, None, {""})


def test_weights_chosen_on_a_good_set(studio, toy, faces, rng):
    """The fits of the noisy labels are the good set's own, so they are better than the labels."""
    noise = {"contour": 0.02, "inner": 0.02}
    good = GoodSet(studio.table, studio.folder, toy.path, noise)
    cleaning = Cleaning(studio.table, studio.folder, default_bundle(), good=good, most=9.0)
    ticks: list[int] = []
    cleaned, weights, choice = clean(faces, cleaning, ticks.append)
    assert choice is not None and weights == choice.weights and set(weights) == set(noise)
    assert all(sum(shares) == pytest.approx(1) for shares in weights.values())
    assert np.isfinite(cleaned.points).all() and sum(ticks) == len(faces)
    settings = cleaning.settings()
    assert settings["label_noise"] == noise and settings["network"] and settings["bias_of"] == "labels"


def test_what_does_not_fit_together(studio, toy, faces):
    good = GoodSet(studio.table, studio.folder, toy.path, {"inner": 0.02})
    for options in ({}, {"weights": HALF, "good": good}):
        with pytest.raises(ShapeError, match="give one"):
            Cleaning(studio.table, studio.folder, default_bundle(), **options)
    with pytest.raises(ShapeError, match="needs a network"):
        Cleaning(studio.table, studio.folder, good=good)
    with pytest.raises(ShapeError, match="needs a network"):
        Cleaning(studio.table, studio.folder, weights={"contour": (0.5, 0.0, 0.5)})
    inner = Faces2D(faces.images, faces.identities, faces.points[:, 17:], faces.sizes, "51")
    with pytest.raises(SchemeError, match="of scheme 51"):
        clean(inner, Cleaning(studio.table, studio.folder, weights={"inner": (0.5, 0.5, 0.0)}))
