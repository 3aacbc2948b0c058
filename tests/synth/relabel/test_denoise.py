"""Blending of labels: its laws, the choice of weights against least squares, faces of a model on a lattice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.errors import ShapeError
from canthus.face3d.fit import FitOptions, Fitter
from canthus.geometry.transform import apply, similarity
from canthus.schemes.scheme import Scheme
from canthus.synth.relabel.denoise import (
    Estimates,
    bias_between,
    blend,
    choose,
    degrade,
    frames,
    in_frame,
    in_pixels,
    limited,
    mean_length,
    noise_fields,
    point_weights,
    split_noise,
    with_bias_of,
)

SCHEME = Scheme.open("68")
GROUPS = {name: SCHEME.groups[name] for name in ("contour", "inner")}
WIDTH = 300.0


def faces(seed: int, count: int = 6, noise: float = 2.0) -> Estimates:
    """Noisy copies of one random shape in places, sizes and turns of their own, by all three sources."""
    rng = np.random.default_rng(seed)
    shape = rng.normal(0, 40, (68, 2))
    shape = (shape + SCHEME.mirrored(shape, 1)) / 2
    places = np.stack([similarity(rng.uniform(0.5, 2), rng.uniform(-40, 40), (150.0, 140.0)) for _ in range(count)])
    truth = apply(places, np.broadcast_to(shape, (count, 68, 2)))
    return Estimates(*(truth + rng.normal(0, noise, truth.shape) for _ in range(3)))


def units(points: np.ndarray) -> np.ndarray:
    """Inter-ocular distance of faces."""
    right, left = (points[:, list(eye)].mean(1) for eye in SCHEME.normalisers["inter-ocular"])
    return np.linalg.norm(right - left, axis=-1)


def clean(estimates: Estimates, bias: str = "labels", limit: float = 0.1) -> np.ndarray:
    """The whole way from estimates to new labels."""
    unit = units(estimates.label)
    axes = frames(estimates.label, unit, SCHEME)
    weights = point_weights({"contour": (0.2, 0.5, 0.3), "inner": (0.4, 0.1, 0.5)}, SCHEME)
    alike = with_bias_of(estimates, axes, SCHEME, bias)
    return limited(alike.label, blend(alike, weights), unit, limit).points


def changed(estimates: Estimates, change) -> Estimates:
    return Estimates(change(estimates.label), change(estimates.fit), change(estimates.net))


seeds = st.integers(0, 10_000)
biases = st.sampled_from(["labels", "net"])


@settings(max_examples=20)
@given(seeds)
def test_all_weight_on_one_source_gives_it_back(seed):
    estimates = faces(seed)
    for place, name in enumerate(("label", "fit", "net")):
        weights = point_weights({"contour": np.eye(3)[place], "inner": np.eye(3)[place]}, SCHEME)
        np.testing.assert_array_equal(blend(estimates, weights), getattr(estimates, name))


@settings(max_examples=20)
@given(seeds, biases)
def test_commutes_with_mirroring(seed, bias):
    estimates = faces(seed)
    mirrored = changed(estimates, lambda points: SCHEME.mirrored(points, WIDTH))
    np.testing.assert_allclose(clean(mirrored, bias), SCHEME.mirrored(clean(estimates, bias), WIDTH), atol=1e-6)


@settings(max_examples=20)
@given(seeds, biases, st.floats(0.2, 5), st.floats(-180, 180), st.floats(-100, 100))
def test_commutes_with_a_similarity_of_all(seed, bias, scale, angle, shift):
    estimates, place = faces(seed), similarity(scale, angle, (shift, -shift))
    moved = changed(estimates, lambda points: apply(place, points))
    np.testing.assert_allclose(clean(moved, bias), apply(place, clean(estimates, bias)), atol=1e-3)


@settings(max_examples=20)
@given(seeds)
def test_moves_go_to_the_face_and_back(seed):
    estimates = faces(seed)
    axes, moves = frames(estimates.label, units(estimates.label), SCHEME), estimates.net - estimates.label
    np.testing.assert_allclose(in_pixels(in_frame(moves, axes), axes), moves, atol=1e-9)


def test_a_bias_is_found_and_removed(rng):
    estimates = faces(3, count=5, noise=0)
    axes = frames(estimates.label, units(estimates.label), SCHEME)
    offset = rng.normal(0, 0.05, (68, 2))
    offset = (offset + SCHEME.mirrored(offset, 1)) / 2
    net = estimates.label + in_pixels(offset, axes)
    net[0, 5] = np.nan
    np.testing.assert_allclose(bias_between(estimates.label, net, axes, SCHEME), offset, atol=1e-9)
    other = Estimates(estimates.label, estimates.fit, net)
    told = np.isfinite(net)
    np.testing.assert_allclose(with_bias_of(other, axes, SCHEME, "labels").net[told], estimates.label[told], atol=1e-6)
    np.testing.assert_allclose(with_bias_of(other, axes, SCHEME, "net").fit[told], net[told], atol=1e-6)
    np.testing.assert_allclose(noise_fields(other, axes, SCHEME)[told], 0, atol=1e-9)


def test_without_a_net_nothing_changes_its_bias():
    estimates = faces(0)
    alone = Estimates(estimates.label, estimates.fit, np.full_like(estimates.net, np.nan))
    assert with_bias_of(alone, frames(alone.label, units(alone.label), SCHEME), SCHEME, "net") is alone
    weights = point_weights({"contour": (0.5, 0.5, 0), "inner": (1, 0, 0)}, SCHEME)
    assert np.isfinite(blend(alone, weights)).all()


def test_what_is_not_annotated_stays_so():
    estimates = faces(1)
    estimates.label[2, 40] = np.nan
    points = clean(estimates)
    assert np.isnan(points[2, 40]).all() and np.isnan(points).sum() == 2


def test_points_beyond_the_limit_stay_and_spoilt_faces_are_refused():
    label = np.zeros((4, 68, 2))
    points = np.full((4, 68, 2), 1.0)
    points[1, 3] = 50.0
    points[2, :20] = 50.0
    points[3, 7] = np.nan
    cleaned = limited(label, points, np.full(4, 100.0), 0.1)
    assert cleaned.problems == ("", "", "29% of its points would move too far", "a prior is missing")
    assert cleaned.kept[1].sum() == 1 and (cleaned.points[1, 3] == 0).all() and cleaned.moved[1, 3] == 0
    np.testing.assert_allclose(cleaned.moved[0], np.sqrt(2) / 100)


def test_the_best_weights_are_those_of_independent_errors(rng):
    truth = np.zeros((400, 68, 2))
    deviations = np.array([2.0, 1.0, 1.5])
    estimates = Estimates(*(rng.normal(0, deviation, truth.shape) for deviation in deviations))
    choice = choose(truth, estimates, np.full(400, 100.0), GROUPS)
    wanted = deviations**-2 / (deviations**-2).sum()
    for group in GROUPS:
        np.testing.assert_allclose(choice.weights[group], wanted, atol=0.026)
        errors = choice.errors[group]
        assert errors["blend"] < min(errors[name] for name in ("label", "fit", "net"))
        np.testing.assert_allclose(errors["label"], 0.02 * np.sqrt(np.pi / 2), rtol=0.02)


def test_a_source_that_is_missing_gets_no_weight(rng):
    truth = np.zeros((50, 68, 2))
    noisy = rng.normal(0, 1, (2, *truth.shape))
    choice = choose(truth, Estimates(noisy[0], noisy[1], np.full_like(truth, np.nan)), np.ones(50), GROUPS)
    assert all(shares[2] == 0 for shares in choice.weights.values())
    assert np.isnan(choice.errors["inner"]["net"])


def test_noise_is_told_from_the_nets_and_handed_on(rng):
    net_error, label_error = rng.normal(0, 0.03, (400, 68, 2)), rng.normal(0, 0.04, (400, 68, 2))
    fields, inner = label_error - net_error, GROUPS["inner"]
    factor, net = split_noise(fields, mean_length(label_error, inner), inner)
    np.testing.assert_allclose([factor, net], [0.8, mean_length(net_error, inner)], rtol=0.02)
    with pytest.raises(ShapeError, match="give a smaller error"):
        split_noise(fields, 0.2, inner)
    axes = np.stack([similarity(50.0, 30.0)[:, :2]] * 300)
    truth = rng.normal(0, 50, (300, 68, 2))
    bad = degrade(truth, axes, factor * fields, rng)
    np.testing.assert_allclose(np.std(bad - truth), 50 * 0.04, rtol=0.03)


@settings(max_examples=3)
@given(seed=seeds)
def test_faces_on_a_lattice_come_closer_to_the_truth(toy, make_faces, seed):
    rng = np.random.default_rng(seed)
    truth = make_faces(toy.model, np.stack([np.linspace(-30, 30, 8), np.zeros(8), np.zeros(8)], -1), rng).labels
    cell = 0.05 * np.linalg.norm(truth[:, 36] - truth[:, 45], axis=-1)[:, None, None]
    label = np.round(truth / cell + rng.random((8, 1, 2))) * cell
    label += (truth - label).mean(1, keepdims=True)
    fit = Fitter(toy.model, "68", options=FitOptions(noise=0.025)).fit(label).points[..., :2]
    weights = point_weights({"contour": (0.3, 0.7, 0), "inner": (0.3, 0.7, 0)}, SCHEME)
    points = blend(Estimates(label, fit, np.full_like(label, np.nan)), weights)
    before, after = (np.linalg.norm(some - truth, axis=-1).mean() for some in (label, points))
    assert after < 0.9 * before


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"contour": (1, 0, 0)}, "no weights; give them for contour and inner"),
        ({"inner": (1, 0, 0), "ear": (1, 0, 0)}, "no group 'ear'"),
        ({"contour": (1, 0, 0), "inner": (0.5, 0.2, 0.2)}, "add up to 1"),
        ({"contour": (1, 0, 0), "inner": (1.5, -0.5, 0)}, ">= 0"),
    ],
)
def test_wrong_weights(weights, words):
    with pytest.raises(ShapeError, match=words):
        point_weights(weights, SCHEME)


def test_sources_of_other_faces():
    with pytest.raises(ShapeError, match="not the same"):
        Estimates(np.zeros((2, 68, 2)), np.zeros((3, 68, 2)), np.zeros((2, 68, 2)))


def test_later_groups_override():
    table = point_weights({"contour": (1, 0, 0), "inner": (0, 1, 0), "mouth": (0, 0, 1)}, SCHEME)
    assert (table[list(SCHEME.groups["mouth"]), 2] == 1).all() and table[30, 1] == 1 and table[8, 0] == 1
