import numpy as np
import pytest

from canthus.errors import DataError, SchemeError
from canthus.evaluate import run
from canthus.evaluate.run import load_peers, predict
from canthus.evaluate.table import Table
from canthus.schemes.scheme import Scheme
from canthus.types import Faces


class Corner:
    """Finds every point at the corner of the box; remembers how many images came at a time."""

    def __init__(self, scheme: str = "68", scored: bool = True, depth: float | None = None) -> None:
        self.scheme, self.scored, self.depth, self.batches = Scheme.open(scheme), scored, depth, []

    def align_many(self, images, boxes, rolls=None):
        self.batches.append(len(images))
        return [self._one(some) for some in boxes]

    def _one(self, boxes):
        count = self.scheme.count
        points = np.repeat(boxes[:, None, :2], count, 1)
        if self.depth is not None:
            points = np.dstack([points, np.full(points.shape[:2], self.depth)])
        scores = np.full((len(boxes), count), 0.5) if self.scored else np.zeros((0, 0))
        return Faces(points, boxes, scores, scheme=self.scheme.name)


@pytest.fixture
def truth(make_faces):
    faces = make_faces(40).astype(np.float32)
    return Table(faces, "68", tuple(map(str, range(40))), picture=lambda index: np.zeros((8, 8, 3), np.uint8))


def test_every_face_is_found_in_its_box_in_bounded_batches(truth):
    aligner, done = Corner(), []
    found = predict(aligner, truth, truth.box("truth"), done.append)
    assert (found.points[:, 0] == truth.box("truth")[:, :2]).all()
    assert found.scores.shape == (40, 68)
    assert max(aligner.batches) <= run.BATCH and sum(done) == 40
    assert predict(Corner(scored=False), truth, truth.box("truth")).scores is None


def test_depth_is_kept(truth):
    found = predict(Corner(depth=7), truth, truth.box("truth"))
    assert found.points.shape == (40, 68, 3) and (found.points[..., 2] == 7).all()


def test_a_model_of_another_scheme_and_a_set_without_pictures_are_refused(truth):
    with pytest.raises(SchemeError, match="points of scheme 98, the set has scheme 68"):
        predict(Corner("98"), truth, truth.box("truth"))
    with pytest.raises(DataError, match="--predictions"):
        predict(Corner(), Table(truth.points, "68"), truth.box("truth"))


def test_peers(tmp_path, truth):
    names, points = np.array(["a", "b"]), np.zeros((2, 40, 68, 2), np.float32)
    np.savez(tmp_path / "p.npz", names=names, tight=points, tight_mapped=points + 1, consensus=points[0])
    peers = load_peers(tmp_path / "p.npz", truth)
    assert list(peers.points) == ["tight", "tight_mapped"]
    assert (peers.points["tight_mapped"]["b"] == 1).all()
    assert peers.consensus.shape == (40, 68, 2)
    np.savez(tmp_path / "q.npz", names=names, tight=points[:, :3])
    with pytest.raises(DataError, match=r"q.npz: tight does not have the shape \(2, 40, 68, 2\)"):
        load_peers(tmp_path / "q.npz", truth)
    with pytest.raises(DataError, match="leave out --peers"):
        load_peers(tmp_path / "no.npz", truth)
