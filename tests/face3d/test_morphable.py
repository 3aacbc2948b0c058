import numpy as np
import pytest

from canthus.errors import InputError, SchemeError, ShapeError
from canthus.face3d.morphable import AXES, MorphableModel
from canthus.geometry.pose import rotation
from canthus.schemes.scheme import Scheme


def test_vertices_are_the_sum_of_the_file(toy, rng):
    identity, expression = rng.normal(size=(3, 6)), rng.uniform(size=(3, 4))
    file = np.load(toy.path)
    heads = file["mean"].astype(float) + sum(
        np.einsum("fk,kdv,k->fvd", weight, file[f"{name}_q"].astype(float), file[f"{name}_step"].astype(float))
        for name, weight in {"identity": identity, "expression": expression}.items()
    )
    assert toy.model.vertices(identity, expression) == pytest.approx(heads * AXES, abs=1e-4)
    some = np.array([3, 900, 3])
    assert toy.model.vertices(identity, expression, some) == pytest.approx(heads[:, some] * AXES, abs=1e-4)
    fewer = toy.model.vertices(identity[:, :2], expression, some)
    assert fewer == pytest.approx(toy.model.vertices(identity * (1, 1, 0, 0, 0, 0), expression, some), abs=1e-5)


def test_our_axes(toy):
    model = toy.model
    points = model.mean[model.landmarks.points["68"]]
    assert points[30, 2] == model.mean[:, 2].min()  # the nose is nearest to the viewer
    assert points[8, 1] > points[27, 1]  # y down
    assert points[36, 0] < 0 < points[45, 0]  # the subject's left on the right of the image
    a, b, c = model.mean[model.triangles].transpose(1, 0, 2).astype(float)
    assert (np.cross(b - a, c - a) * (a + b + c)).sum(1).min() > 0  # triangles look outward
    assert model.inter_ocular == pytest.approx(np.linalg.norm(points[36] - points[45]))


def test_of_a_turned_head_only_the_far_contour_slides(toy):
    model, jaw, contour = toy.model, toy.model.landmarks.of("68"), np.array(Scheme.open("68").contour)
    away, other = model.on_view("68", rotation(np.array([[40.0, 0, 0], [-40.0, 0, 0]])))
    far, near = contour[:8], contour[9:]  # yaw > 0 hides the subject's left
    slid, slid_back = away != jaw, other != jaw
    assert slid[near].any() and not slid[far].any()
    assert slid_back[far].any() and not slid_back[near].any()
    assert not slid[17:].any() and not slid_back[17:].any()
    assert (model.on_view("68", rotation(np.array([[40.0, 0, 0]])), contour=False) == jaw).all()
    with pytest.raises(SchemeError, match="98"):
        model.on_view("98", np.eye(3)[None])


def test_wrong_coefficients(toy):
    for identity, expression in [((2, 7), (2, 4)), ((2, 6), (2, 3)), ((2, 6), (3, 4)), ((6,), (4,))]:
        with pytest.raises(ShapeError, match="coefficients"):
            toy.model.vertices(np.zeros(identity), np.zeros(expression))


@pytest.mark.parametrize(
    "name",
    ["mean", "identity_q", "identity_step", "expression_q", "expression_step", "expression_names", "triangles", "uv",
     "triangle_uv", "region", "region_names"],
)  # fmt: skip
def test_a_missing_array(toy, tmp_path, name):
    arrays = dict(np.load(toy.path))
    del arrays[name]
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(InputError, match=f"{name}' is missing; make the file again"):
        MorphableModel.open(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity_step": np.ones(5)}, r"'identity_step' is \(5,\), not \(K\)"),
        ({"mean": np.zeros((4, 3), np.float32)}, r"'identity_q' is"),
        ({"triangles": np.full((7920, 3), 60000, np.uint16)}, "points beyond"),
        ({"expression_step": np.full(4, np.nan)}, "not finite"),
    ],
)
def test_arrays_that_do_not_fit(toy, tmp_path, change, message):
    np.savez(tmp_path / "model.npz", **{**np.load(toy.path), **change})
    with pytest.raises(InputError, match=message):
        MorphableModel.open(tmp_path / "model.npz", toy.path.with_name("landmarks.json"))


def test_no_model(tmp_path):
    with pytest.raises(InputError, match="no such face model"):
        MorphableModel.open(tmp_path / "model.npz")
    (tmp_path / "model.npz").write_text("text")
    with pytest.raises(InputError, match="not a face model"):
        MorphableModel.open(tmp_path / "model.npz")
