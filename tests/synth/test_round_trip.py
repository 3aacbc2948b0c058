"""A face is drawn, its labels are fitted as a user would fit them, and what made it comes back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.face3d.fit import Fitter
from canthus.face3d.labels import points_of
from canthus.geometry.pose import rotation
from canthus.schemes.scheme import Scheme
from canthus.synth.video.render import HeadState, framing, light_from, render, unused
from canthus.synth.video.skin import random_person

SIZE, SCALE = 48, 2.5
GREY = np.full((SIZE, SIZE, 3), 90, np.uint8)
POSES = st.tuples(st.floats(-60, 60), st.floats(-25, 25), st.floats(-30, 30))

LIMITS = {"turn": 5, "scale": 0.03, "inter_ocular": 0.03, "shift": 0.05, "points": 0.01, "mouth": 0.01, "depth": 0.04,
          "residual": 0.01}  # fmt: skip


def drawn(model, pose, seed):
    """A random person with a tenth of the expressions; what was drawn, and its expression, scale and shift."""
    rng = np.random.default_rng(seed)
    pose = np.array(pose)
    weights = rng.uniform(0, 0.8, len(model.expression)) * (rng.random(len(model.expression)) < 0.1)
    weights[unused(model)] = 0
    weights[[name.startswith(model.landmarks.dropped) for name in model.expression_names]] = 0
    view = HeadState(weights, pose, SCALE, framing(pose, SCALE, np.full(2, SIZE / 2)), np.zeros(2))
    return render(model, random_person(model, rng), view, light_from(20, 30, 0.7, 0.4, 0), GREY), view


def errors(model, fit, face, truth, view):
    """Of a fitted face; lengths are shares of the inter-ocular distance."""
    points = truth.points["68"].astype(float)
    unit = np.linalg.norm(points[36] - points[45])
    off = (points_of(model, fit, "68")[face] - points) / unit
    depth = off[:, 2] - off[:, 2].mean()
    flat = np.linalg.norm(off[:, :2], axis=-1)
    mouth = list(Scheme.open("68").groups["mouth"])
    between = fit.camera.rotation[face] @ rotation(view.pose).T
    return {
        "turn": np.degrees(np.arccos(np.clip((np.trace(between) - 1) / 2, -1, 1))),
        "scale": abs(fit.camera.scale[face] / SCALE - 1),
        "inter_ocular": abs(fit.inter_ocular[face] / unit - 1),
        "shift": np.linalg.norm(fit.camera.shift[face] - view.shift) / unit,
        "points": flat.mean(),
        "mouth": flat[mouth].mean(),
        "depth": np.abs(depth).mean(),
        "residual": fit.error[face],
    }


def check(found, limits):
    for name, limit in limits.items():
        assert found[name] < limit, (name, found)


@settings(max_examples=10, deadline=None)
@given(POSES, st.integers(0, 999))
def test_a_drawn_face_comes_back(toy, pose, seed):
    truth, view = drawn(toy.model, pose, seed)
    fit = Fitter(toy.model, "68").fit(truth.labels["68"][None, :, :2], np.full((1, 2), SIZE))
    assert fit.problems == ("",)
    check(errors(toy.model, fit, 0, truth, view), LIMITS)


def test_a_wrong_face_is_far_off(toy):
    """The tolerances tell faces apart."""
    truth, view = drawn(toy.model, (20, 5, -10), 1)
    other, _ = drawn(toy.model, (28, 5, -10), 2)
    fit = Fitter(toy.model, "68").fit(other.labels["68"][None, :, :2])
    found = errors(toy.model, fit, 0, truth, view)
    assert found["turn"] > LIMITS["turn"] and found["points"] > LIMITS["points"]


@pytest.mark.data
def test_a_drawn_face_of_the_real_model_comes_back(face_model):
    poses = [(-60, 10, 20), (-35, -25, 0), (-10, 25, -30), (0, 0, 0), (25, -10, 30), (60, 20, -15)]
    pairs = [drawn(face_model, pose, seed) for seed, pose in enumerate(poses)]
    labels = np.stack([truth.labels["68"][:, :2] for truth, _ in pairs])
    fit = Fitter(face_model, "68").fit(labels, np.full((len(poses), 2), SIZE))
    assert fit.problems == ("",) * len(poses)
    for face, (truth, view) in enumerate(pairs):
        found = errors(face_model, fit, face, truth, view)
        check(found, {"turn": 3, "inter_ocular": 0.03, "points": 0.012, "mouth": 0.01, "depth": 0.04, "residual": 0.01})
