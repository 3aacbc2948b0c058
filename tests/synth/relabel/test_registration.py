from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.data.sample import Sample
from canthus.errors import ShapeError
from canthus.geometry.crop import box_of
from canthus.schemes.scheme import Scheme
from canthus.synth.relabel.registration import boxes_of, learn_map, map_held_out, net_points, register

SCHEME = Scheme.open("68")


def faces(seed: int, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Labels of some faces with unknown points, and their boxes."""
    rng = np.random.default_rng(seed)
    labels = rng.uniform(0, 1, (count, 68, 2)) * rng.uniform(50, 200, (count, 1, 1)) + rng.uniform(0, 99, (count, 1, 2))
    boxes = box_of(labels)
    labels[rng.random((count, 68)) < 0.2] = np.nan
    return labels, boxes


def moved(labels: np.ndarray, boxes: np.ndarray, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """Labels scaled about the centres of their boxes and shifted by shares of the longer sides."""
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None]
    side = (boxes[:, 2:] - boxes[:, :2]).max(1)[:, None, None]
    return centre + scale * (labels - centre) + np.array(shift) * side


@given(seed=st.integers(0, 99), scale=st.floats(0.8, 1.25), x=st.floats(-0.2, 0.2), y=st.floats(-0.2, 0.2))
def test_a_common_scale_and_shift_is_found_and_taken_out(seed: int, scale: float, x: float, y: float) -> None:
    labels, boxes = faces(seed)
    truth = moved(labels, boxes, scale, (x, y))
    truth[0] += 30  # a face on which the network is lost
    found = register(labels, truth, boxes)
    assert found.scale == pytest.approx(scale, abs=1e-6)
    np.testing.assert_allclose(found.shift, (x, y), atol=1e-6)
    np.testing.assert_allclose(found.apply(labels, boxes)[1:], truth[1:], atol=1e-3)
    assert found.after < 1e-6
    assert found.faces == len(labels)


def test_mirroring_negates_the_shift_in_x() -> None:
    labels, boxes = faces(3)
    truth = moved(labels, boxes, 1.1, (0.05, -0.02)) + np.random.default_rng(0).normal(0, 1, labels.shape)
    turned = np.stack([200 - boxes[:, 2], boxes[:, 1], 200 - boxes[:, 0], boxes[:, 3]], 1)
    plain = register(labels, truth, boxes)
    mirror = register(SCHEME.mirrored(labels, 201), SCHEME.mirrored(truth, 201), turned)
    assert mirror.scale == pytest.approx(plain.scale)
    np.testing.assert_allclose(mirror.shift, plain.shift * [-1, 1], atol=1e-6)
    np.testing.assert_allclose(mirror.error, plain.error, rtol=1e-4)


def test_the_standard_error_is_that_of_repeated_samples() -> None:
    rng = np.random.default_rng(1)
    found = []
    for seed in range(60):
        labels, boxes = faces(seed, 40)
        side = (boxes[:, 2:] - boxes[:, :2]).max(1)[:, None, None]
        found.append(register(labels, labels + 0.02 * side * rng.normal(size=(40, 1, 2)), boxes))
    spread = np.std([one.shift for one in found], 0)
    np.testing.assert_allclose(np.mean([one.error[1:] for one in found], 0), spread, rtol=0.3)


def test_faces_with_few_points_have_no_say() -> None:
    labels, boxes = faces(0)
    labels[2, 2:] = np.nan
    assert register(labels, labels, boxes).faces == len(labels) - 1
    with pytest.raises(ShapeError, match="no face has 3 points that both labels and network know"):
        register(labels * np.nan, labels, boxes)
    with pytest.raises(ShapeError, match="are not of the same faces"):
        register(labels, labels[:, :5], boxes)


class Shifted:
    """Stands for a network that finds the corners of its boxes."""

    def points(self, pictures: list[Path], corners: np.ndarray) -> np.ndarray:
        assert [path.name for path in pictures] == ["a.jpg", "b.jpg"]
        return corners


def test_the_network_starts_from_the_face_boxes() -> None:
    points = np.array([[0, 0], [10, 20]], np.float32)
    samples = [
        Sample(Path("a.jpg"), points, "68", "a"),
        Sample(Path("b.jpg"), points, "68", "b", box=np.array([1, 2, 3, 4], np.float32)),
    ]
    assert boxes_of(samples).tolist() == [[0, 0, 10, 20], [1, 2, 3, 4]]
    assert net_points(Shifted(), samples).tolist() == [[[0, 0], [10, 20]], [[1, 2], [3, 4]]]


def test_a_learnt_map_leaves_out_faces_where_the_network_is_lost(rng: np.random.Generator) -> None:
    corners = np.array([[0, 0], [90, 0], [0, 90], [90, 90], [45, 20], [45, 70]])
    own = corners + rng.normal(0, 5, (40, 6, 2))
    net = (own[:, :3] + own[:, 3:]) / 2
    distance = rng.uniform(0.01, 0.015, 40)
    net[:4] += rng.normal(0, 40, (4, 3, 2))
    distance[:4] = 0.4
    found = learn_map(own, net, distance, 1e-6).apply(own)
    np.testing.assert_allclose(found[4:], net[4:], atol=1)


def test_a_face_is_mapped_by_what_other_people_teach(rng: np.random.Generator) -> None:
    """A face whose own answer is wrong is mapped as well as the others, by the maps of the other parts."""
    corners = np.array([[0, 0], [90, 0], [0, 90], [90, 90], [45, 20], [45, 70]])
    own = corners + rng.normal(0, 5, (60, 6, 2))
    truth = (own[:, :3] + own[:, 3:]) / 2
    net = truth.copy()
    fold = np.arange(60) % 3
    net[fold == 1] += [20, 0]
    mapped = map_held_out(own, net, np.ones(60), fold, 1e-6)
    np.testing.assert_allclose(mapped[fold == 1], truth[fold == 1], atol=0.5)
    assert (np.abs(mapped[fold == 0] - truth[fold == 0]) > 1).any()
    with pytest.raises(ShapeError, match="make two or more parts"):
        map_held_out(own, net, np.ones(60), 0 * fold, 1e-6)
