import itertools
import json

import numpy as np
import pytest

from canthus.errors import InputError
from canthus.face3d import ict
from canthus.face3d.ict import import_ict
from canthus.face3d.morphable import MorphableModel

CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1)]


@pytest.fixture
def folder(tmp_path, rng, make_folder):
    """A cube with two identities and three expressions, one of which the table does not name."""
    modes = rng.normal(size=(2, 8, 3))
    expressions = {"jawOpen": rng.normal(size=(8, 3)), "browDown_L": 40 * rng.normal(size=(8, 3))}
    make_folder(tmp_path / "FaceXModel", CUBE, SIDES, modes, {**expressions, "PupilDilate_L": np.ones((8, 3))})
    (tmp_path / "FaceXModel" / "vertex_indices.json").write_text(json.dumps({"expressions": list(expressions)}))
    return tmp_path / "FaceXModel", modes, expressions


def test_what_lies_in_the_file(folder, tmp_path):
    place, modes, expressions = folder
    counts = import_ict(place, tmp_path / "cube.npz")
    assert counts == {"vertices": 8, "identities": 2, "expressions": 3, "triangles": 6}
    made = np.load(tmp_path / "cube.npz")
    assert made["mean"] == pytest.approx(CUBE)
    assert made["expression_names"].tolist() == ["jawOpen", "browDown_L", "PupilDilate_L"]
    assert made["triangles"].tolist() == [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
    assert made["uv"][made["triangle_uv"]][..., 0] == pytest.approx(made["triangles"] / 8, abs=1e-6)
    assert made["vertex_uv"][:, 0] == pytest.approx(np.arange(8) / 8, abs=1e-6)
    for name, wanted in {"identity": modes, "expression": list(expressions.values())}.items():
        steps = made[f"{name}_step"]
        for mode, step, true in zip(made[f"{name}_q"], steps, wanted, strict=False):
            assert np.abs(mode.T * step - true).max() <= step / 2 + 1e-6
    assert made["identity_step"] == pytest.approx([ict.STEP] * 2)
    assert made["expression_step"][1] > ict.STEP  # more than 32767 of the usual steps
    assert made["region_names"][made["region"]].tolist() == ["face"] * 8
    assert not (tmp_path / "landmarks.json").exists()


def test_later_vertices_and_their_faces_are_dropped(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(ict, "VERTICES", 6)
    monkeypatch.setattr(ict, "REGIONS", {"face": 0, "head_neck": 4})
    (tmp_path / "landmarks.json").write_text("mine")
    place, modes, _ = folder
    assert import_ict(place, tmp_path / "cube.npz") == {
        "vertices": 6, "identities": 2, "expressions": 3, "triangles": 4,
    }  # fmt: skip
    made = np.load(tmp_path / "cube.npz")
    assert made["triangles"].tolist() == [[0, 1, 3], [0, 3, 2], [0, 4, 5], [0, 5, 1]]
    assert len(made["uv"]) == 6
    assert made["identity_q"].shape == (2, 3, 6)
    np.testing.assert_allclose(made["identity_q"][1].T * ict.STEP, modes[1, :6], atol=ict.STEP)
    assert made["region_range"].tolist() == [[0, 4], [4, 6]]
    assert made["region"].tolist() == [0, 0, 0, 0, 1, 1]


def test_published_landmarks_come_along(toy, tmp_path, monkeypatch):
    """With the toy's vertices in place of the published ones."""
    mean = toy.model.mean
    inner, jaw = toy.tree["sets"]["ibug51"], toy.tree["sets"]["ibug68_3d"][:17]
    nearest = [int(np.argmin(((mean - (mean[a] + mean[b]) / 2) ** 2).sum(1))) for a, b in itertools.pairwise(jaw)]
    dense = [vertex for pair in itertools.zip_longest(jaw, nearest) for vertex in pair if vertex is not None]
    monkeypatch.setattr(ict, "VERTICES", len(mean))
    monkeypatch.setattr(ict, "_JAW", " ".join(map(str, dense)))
    monkeypatch.setattr(ict, "_INNER", " ".join(map(str, inner)))
    import_ict(toy.folder, tmp_path / "toy.npz")
    tree = json.loads((tmp_path / "landmarks.json").read_text())
    sets = tree["sets"]
    assert {name: len(points) for name, points in sets.items()} == {"ibug68_3d": 68, "ibug51": 51, "menpo3d84": 84}
    assert sets["menpo3d84"][:33:2] + sets["ibug51"] == sets["ibug68_3d"]
    lines = tree["contour_lines"]["menpo33"]
    assert [lines[str(index)][0] for index in range(33)] == dense
    ends = mean[[lines[str(index)][-1] for index in range(33)]]
    assert ends[[0, 16, 32]] == pytest.approx(mean[[inner[at] for at in (19, 40, 28)]], abs=0.8)
    assert np.abs(ends + ends[::-1])[:, 0].max() < 0.5  # as much to the left as to the right
    landmarks = MorphableModel.open(tmp_path / "toy.npz").landmarks
    assert landmarks.lines["68"].shape[0] == 68 and landmarks.lines["84"].shape[0] == 84


def test_landmarks_that_are_there_stay(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(ict, "VERTICES", 8)
    (tmp_path / "landmarks.json").write_text("mine")
    import_ict(folder[0], tmp_path / "cube.npz")
    assert (tmp_path / "landmarks.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda place: (place / "identity000.obj").unlink(), r"identity000\.obj is missing"),
        (lambda place: (place / "browDown_L.obj").unlink(), r"browDown_L\.obj, which vertex_indices"),
        (lambda place: (place / "generic_neutral_mesh.obj").unlink(), r"generic_neutral_mesh\.obj: cannot be read"),
        (lambda place: (place / "vertex_indices.json").unlink(), r"vertex_indices\.json: cannot be read"),
        (lambda place: (place / "vertex_indices.json").write_text("[]"), "no list 'expressions'"),
        (lambda place: (place / "identity001.obj").write_text("v 0 0 0\n"), r"identity001\.obj: has 1 vertices"),
        (lambda place: (place / "identity001.obj").write_text("v 0 zero 0\n"), r"identity001\.obj: not a Wavefront"),
        (lambda place: (place / "identity001.obj").write_text(""), r"identity001\.obj: holds no vertices"),
        (lambda place: (place / "identity001.obj").write_bytes(b"\xff\xfe\x00"), r"identity001\.obj: not a text"),
        (
            lambda place: (place / "generic_neutral_mesh.obj").write_text("v 0 0 0\nvt 0 0\nf 1/1 2/1 3/1\n"),
            "a face has corners",
        ),
    ],
)
def test_a_damaged_folder(folder, tmp_path, damage, message):
    damage(folder[0])
    with pytest.raises(InputError, match=message):
        import_ict(folder[0], tmp_path / "cube.npz")
    assert not (tmp_path / "cube.npz").exists()
