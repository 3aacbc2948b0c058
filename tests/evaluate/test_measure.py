from pathlib import Path

import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.evaluate.measure import labelled_set, protocol_of, sources_of, study_model, study_predictions
from canthus.evaluate.protocol import PROTOCOLS, Protocol
from canthus.evaluate.run import Peers, load_peers
from canthus.evaluate.table import Table, table_of_samples
from canthus.schemes.scheme import Scheme
from canthus.types import Faces

SCHEME = Scheme.open("68")


class Shifted:
    """Finds the truth, moved by a tenth of the box's shift."""

    scheme = SCHEME

    def __init__(self, faces: np.ndarray) -> None:
        self.faces, self.next = faces, 0

    def align_many(self, images, boxes):
        found = []
        for box in boxes:
            truth = self.faces[self.next % len(self.faces)]
            off = (box[0, :2] - truth.min(0)) / 10
            found.append(Faces((truth + off)[None], box, np.full((1, 68), 0.5), scheme="68"))
            self.next += 1
        return found


@pytest.fixture
def truth(make_faces):
    faces = make_faces(20).astype(np.float32)
    tight = np.concatenate([faces.min(1), faces.max(1)], 1)
    picture = np.zeros((300, 300, 3), np.uint8)
    boxes = {"tight": tight, "jitter": tight + 5}
    return Table(faces, "68", tuple(map(str, range(20))), boxes=boxes, picture=lambda index: picture)


def test_a_model_is_measured_in_each_kind_of_boxes_beside_the_others(truth):
    raw, mapped = (dict.fromkeys("ab", truth.points + shift) for shift in (1, 0.5))
    peers = Peers({"tight": raw, "jitter": raw, "tight_mapped": mapped}, truth.points)
    study = study_model(truth, Shifted(truth.points), PROTOCOLS["wild68-test"], "ours", ["tight", "jitter"], peers)
    assert [(entry.name, entry.boxes, entry.mapped) for entry in study.entries] == [
        ("ours", "tight", False),
        ("ours", "jitter", False),
        ("a", "tight", False),
        ("b", "tight", False),
        ("a", "tight", True),
        ("b", "tight", True),
        ("a", "jitter", False),
        ("b", "jitter", False),
    ]
    assert study.result.nme == pytest.approx(0, abs=1e-6)
    assert study.entries[1].result.nme > 0.005
    assert study.entries[1].result.protocol.name == "wild68-test with boxes jitter"
    assert study.entries[1].consensus == pytest.approx(study.entries[1].result.nme)
    assert study.predictions.points == pytest.approx(truth.points)
    assert study.result.reliability is not None


def test_anybodys_points_are_paired_first(truth):
    order = np.arange(20)[::-1]
    found = Table(truth.points[order] + 1, images=tuple(f"{index}.jpg" for index in order))
    study = study_predictions(truth, found, Protocol(), "mine", "refuse")
    assert study.predictions.points == pytest.approx(truth.points + 1)
    assert study.entries[0].name == "mine"
    assert np.isnan(study.entries[0].consensus)


def test_which_boxes():
    plain, jitter = Table(np.zeros((1, 68, 2))), Table(np.zeros((1, 68, 2)), boxes={"tight": 0, "jitter": 0})
    assert sources_of(jitter, None, Protocol()) == ["tight", "jitter"]
    assert sources_of(jitter, "both", Protocol()) == ["tight", "jitter"]
    assert sources_of(jitter, "true", Protocol()) == ["tight"]
    assert sources_of(plain, "true", Protocol()) == ["truth"]
    assert sources_of(plain, None, Protocol(boxes="set")) == ["set"]
    assert sources_of(plain, None, Protocol()) == ["truth"]
    assert sources_of(plain, "detector", Protocol()) == ["detector"]


def test_which_protocol():
    assert protocol_of("wild68", "test", []).name == "wild68-test"
    assert protocol_of("300w", "common", []).name == "300w-common-interocular"
    samples = [Sample(Path("a.png"), np.zeros((98, 2), np.float32), "98", "a")]
    assert protocol_of("csv:mine", "val", samples).scheme == "98"


@pytest.mark.data
@pytest.mark.parametrize(("name", "expected"), [("wild68", 3.40), ("ytf68", 4.18)])
def test_other_systems_score_what_was_measured_elsewhere(data_root, name, expected):
    truth = table_of_samples(open_set(name, data_root, "test"), data_root / name, SCHEME)
    peers = load_peers(data_root / name / "test_peers.npz", truth)
    points = next(points for system, points in peers.points["tight"].items() if "PFLD_ExternalData" in system)
    study = study_predictions(truth, Table(points), protocol_of(name, "test", []), "PFLD", "refuse")
    assert 100 * study.result.nme == pytest.approx(expected, abs=0.006)
    assert study.result.caveats == (
        "Whether these predictions were made with the boxes of the protocol (tight) is not known.",
    )


def test_pictures_without_landmarks_cannot_be_compared(tmp_path):
    for name in ("images", ""):
        (tmp_path / "backdrops" / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "backdrops/images/a.png").write_bytes(b"")
    (tmp_path / "backdrops/train.csv").write_text("image\na.png\n")
    with pytest.raises(DataError, match="backdrops train: its pictures have no landmarks to compare with"):
        labelled_set(tmp_path, "backdrops", "train", None, {})
