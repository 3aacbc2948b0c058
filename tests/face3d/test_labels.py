from dataclasses import replace

import numpy as np
import pytest

from canthus.errors import SchemeError
from canthus.face3d.fit import Fit
from canthus.face3d.labels import points_of, visibility
from canthus.geometry.pose import WeakPerspective, rotation
from canthus.schemes.scheme import Scheme


def fit_of(truth, scheme="68"):
    """The truth as a fit."""
    count = len(truth.pose)
    camera = WeakPerspective(
        np.full(count, truth.scale), rotation(truth.pose), np.tile([300.0, 280.0], (count, 1)), np.zeros(count)
    )
    nothing = np.zeros((count, 68))
    return Fit(scheme, camera, truth.identity, truth.expression, truth.points, nothing, nothing[:, 0], ("",) * count)


def test_points_are_the_projected_vertices(toy, make_faces, rng):
    truth = make_faces(toy.model, rng.uniform(-50, 50, (3, 3)), rng)
    fit = fit_of(truth)
    assert points_of(toy.model, fit, "68") == pytest.approx(truth.points, abs=1e-3)
    assert points_of(toy.model, fit, "68", outline=True)[..., :2] == pytest.approx(truth.labels, abs=1e-3)
    few = points_of(toy.model, fit, "29")
    heads = toy.model.vertices(truth.identity, truth.expression)[:, toy.model.landmarks.points["29"]]
    camera = fit.camera
    for face in range(3):
        one = slice(face, face + 1)
        alone = WeakPerspective(camera.scale[one], camera.rotation[one], camera.shift[one], camera.residual[one])
        assert few[face] == pytest.approx(alone.project(heads[face])[0], abs=1e-3)
    with pytest.raises(SchemeError, match="98"):
        points_of(toy.model, fit, "98")


def test_the_bias_moves_inner_points_that_schemes_share(toy, make_faces, rng):
    truth = make_faces(toy.model, [(0, 0, 0)], rng)
    fit, bias = fit_of(truth), np.tile([0.5, 0.25, 0.0], (68, 1))
    plain, biased = (points_of(toy.model, fit, "68", bias=some) for some in (None, bias))
    assert (biased - plain)[0, 17:, :2] == pytest.approx(np.tile([10, 5], (51, 1)))
    assert (biased - plain)[0, :17] == pytest.approx(0)  # the contour's offsets are the outline's
    seen = points_of(toy.model, fit, "68", outline=True, bias=bias) - points_of(toy.model, fit, "68", outline=True)
    assert seen[0, :, :2] == pytest.approx(np.tile([10, 5], (68, 1)))
    few = (points_of(toy.model, fit, "29", bias=bias) - points_of(toy.model, fit, "29"))[0]
    names = Scheme.open("29").names
    assert few[names.index("nose_tip"), :2] == pytest.approx([10, 5])
    assert few[names.index("nose_wing_left")] == pytest.approx([0, 0, 0])


def hit(origin, corners):
    """Depth at which a ray along z from each origin (P, 2) meets the triangles (T, 3, 3): Möller and Trumbore."""
    a, b, c = corners.transpose(1, 0, 2)
    e, f = b - a, c - a
    determinant = e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]
    off = origin[:, None] - a[None, :, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (off[..., 0] * f[:, 1] - off[..., 1] * f[:, 0]) / determinant
        v = (e[:, 0] * off[..., 1] - e[:, 1] * off[..., 0]) / determinant
        depth = a[:, 2] + u * e[:, 2] + v * f[:, 2]
        inside = (u >= 0) & (v >= 0) & (u + v <= 1)
    return np.where(inside, depth, np.inf).min(1)


@pytest.mark.parametrize("yaw", [0, 35, 70, -85])
def test_visibility_against_rays(toy, make_faces, rng, yaw):
    truth = make_faces(toy.model, [(yaw, 5, 10)], rng)
    seen = visibility(toy.model, fit_of(truth), ["68", "29"])
    head = toy.model.vertices(truth.identity, truth.expression)[0].astype(float) @ rotation(truth.pose[0]).T
    behind = {}
    for scheme, vertices in (("68", toy.model.landmarks.points["68"]), ("29", toy.model.landmarks.points["29"])):
        behind[scheme] = head[vertices, 2] - hit(head[vertices, :2] + 1e-6, head[toy.model.skin])
        steep = np.abs((toy.model.normals[vertices] @ rotation(truth.pose[0]).T)[:, 2]) < 0.1
        clear = ((behind[scheme] < 0.05) | (behind[scheme] > 1)) & ~steep  # elsewhere the slack decides
        assert clear.mean() > 0.7
        assert (seen[scheme][0] == (behind[scheme] < 0.5))[clear].mean() > 0.95
    if abs(yaw) > 80:
        hidden = [index for index, name in enumerate(Scheme.open("68").names)
                  if name.startswith("eye_left" if yaw > 0 else "eye_right")]  # fmt: skip
        assert not seen["68"][0][hidden].any()


def test_no_fit_no_points(toy, make_faces, rng):
    fit = fit_of(make_faces(toy.model, [(0, 0, 0)] * 2, rng))
    parts = {name: getattr(fit.camera, name).copy() for name in ("scale", "rotation", "shift", "residual")}
    for part in (*parts.values(), fit.identity, fit.expression):
        part[1] = np.nan
    fit = replace(fit, camera=WeakPerspective(**parts))
    points = points_of(toy.model, fit, "68", outline=True)
    assert np.isfinite(points[0]).all()
    assert np.isnan(points[1]).all()
    assert visibility(toy.model, fit, ["68"])["68"].any(1).tolist() == [True, False]


def test_no_faces_no_points(toy, make_faces, rng):
    fit = fit_of(make_faces(toy.model, np.zeros((0, 3)), rng))
    assert points_of(toy.model, fit, "68", outline=True).shape == (0, 68, 3)
    assert visibility(toy.model, fit, ["68"])["68"].shape == (0, 68)
