import json

import numpy as np
import pytest

from canthus.errors import InputError, SchemeError
from canthus.face3d.landmarks import ADAPTED, load_landmarks
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import index_map


def reload(toy, tmp_path, **changes):
    tree = {**toy.tree, **changes}
    path = tmp_path / "landmarks.json"
    path.write_text(json.dumps(tree))
    return load_landmarks(path, toy.model.mean, toy.model.skin)


def test_sets_and_lines(toy):
    landmarks = toy.model.landmarks
    assert set(landmarks.points) == {"68", "51", "29"}
    assert landmarks.points["51"].tolist() == landmarks.points["68"][17:].tolist()
    lines = landmarks.lines["68"]
    assert (lines[:, 0] == landmarks.points["68"]).all()
    assert (lines[17:] == lines[17:, :1]).all()
    for index, line in toy.tree["contour_lines"]["ibug17"].items():
        assert lines[int(index), : len(line)].tolist() == line
        assert set(lines[int(index), len(line) :]) <= {line[-1]}
    assert (landmarks.lines["29"][:, 0] == landmarks.points["29"]).all()  # the chin begins a line of the 68
    assert landmarks.candidates("68", outline=False).shape == (68, 1)
    assert landmarks.candidates("51").shape == (51, 1)
    with pytest.raises(SchemeError, match="'98'; it has 68, 51"):
        landmarks.of("98")


def test_other_sets_inherit_the_shift(toy, tmp_path):
    own = np.array(toy.tree["sets"]["ibug68_3d"])
    adapted = own.copy()
    adapted[17:27] += 91  # the brows one row down
    moved = reload(toy, tmp_path, sets={**toy.tree["sets"], ADAPTED: adapted.tolist()})
    assert moved.points["68"].tolist() == adapted.tolist()
    assert moved.points["51"].tolist() == adapted[17:].tolist()
    few, before = moved.points["29"], np.array(toy.tree["sets"]["cofw29"])
    way = index_map("68", "29")
    same = np.flatnonzero(way.exact)
    assert few[same].tolist() == [adapted[way.parts[index][0]] for index in same]
    brows = [index for part in ("brow_right", "brow_left") for index in Scheme.open("29").groups[part]]
    drop = toy.model.mean[few, 1] - toy.model.mean[before, 1]
    assert (drop[brows] > 0.2).all()  # brows between the shared points go along
    others = np.setdiff1d(np.arange(29), brows)
    assert drop[others] == pytest.approx(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sets": {}}, "'ibug68_3d' is missing"),
        ({"sets": {"ibug68_3d": [1, 2]}}, "has 2 vertices, not 68"),
        ({"sets": {"ibug68_3d": [99999] * 68}}, "do not belong together"),
        ({"sets": {"ibug68_3d": ["a"] * 68}}, "not a file of landmark vertices"),
        ({"sets": [1]}, "has no 'sets'"),
        ({"contour_lines": {"ibug17": {"0": []}}}, "not a file of landmark vertices"),
    ],
)
def test_damaged_files(toy, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        reload(toy, tmp_path, **changes)


def test_no_file(toy, tmp_path):
    with pytest.raises(InputError, match=r"cannot be read.*--landmarks"):
        load_landmarks(tmp_path / "none.json", toy.model.mean, toy.model.skin)
    (tmp_path / "none.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        load_landmarks(tmp_path / "none.json", toy.model.mean, toy.model.skin)


@pytest.mark.data
def test_the_shift_on_the_real_head_is_symmetric_and_short(face_model, data_root):
    tree = json.loads((data_root / "ict_facekit" / "landmarks.json").read_text())
    names = {"84": "menpo3d84", "81": "faceplusplus81", "29": "cofw29", "39_left": "menpo39_left"}
    adapted = dict(zip(tree["sets"]["ibug68_3d"], tree["sets"][ADAPTED], strict=True))
    for scheme, name in names.items():
        old, new = np.array(tree["sets"][name]), face_model.landmarks.points[scheme]
        assert all(adapted[a] == b for a, b in zip(old, new, strict=True) if a in adapted)
        assert np.linalg.norm(face_model.mean[old] - face_model.mean[new], axis=1).max() < 0.7
        rules = Scheme.open(scheme)
        there = face_model.mean[face_model.landmarks.points[rules.mirror_scheme]][rules.mirror] * (-1, 1, 1)
        assert face_model.mean[new] == pytest.approx(there, abs=0.05)
