from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from canthus.align.follow import follow
from canthus.align.stage import Parts, System
from canthus.align.systems import system_of
from canthus.geometry.crop import Crop

SHAPE = np.array([[-20.0, -15], [20, -15], [0, 20]])


class Spots:
    """Stands for a network: point i is the brightest pixel of channel i, the roll in the crop is always 3 degrees."""

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, NDArray[np.float32]]:
        (crops,) = inputs
        count, size = crops.shape[:2]
        flat = crops.reshape(count, -1, 3).argmax(1)
        points = np.stack([flat % size, flat // size], -1).astype(np.float32)
        pose = np.tile(np.float32([0, 0, 3]), (count, 1))
        return {"points": points, "scores": np.ones((count, 3), np.float32), "pose": pose}


class Counting(Spots):
    """Knows how often it was asked."""

    calls = 0

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, NDArray[np.float32]]:
        self.calls += 1
        return super().run(*inputs)


def system(mean: NDArray[np.float32] | None = None, network: Spots | None = None) -> System:
    parts = Parts(Crop(96, 1.6), {"landmarks": network or Spots()}, {} if mean is None else {"mean": mean})
    return system_of("compact", "68", {"landmarks": parts})


def turned(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return SHAPE @ np.array([[c, s], [-s, c]])


def picture(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    image = np.zeros((200, 400, 3), np.uint8)
    for channel, (x, y) in enumerate(points.round().astype(int)):
        image[y - 2 : y + 3, x - 2 : x + 3, channel] = 150
        image[y, x, channel] = 255
    return image


def box(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([points.min(0), points.max(0)])


def test_a_face_is_followed_out_of_its_first_crop() -> None:
    truth = [SHAPE + np.array([60 + 8 * step, 100]) for step in range(30)]
    found = list(follow(system(), map(picture, truth), box(truth[0])))
    assert len(found) == 30
    for faces, points in zip(found, truth, strict=True):
        assert np.abs(faces.points[0] - points).max() < 2.5
        assert np.allclose(faces.boxes[0], box(faces.points[0]))


def test_a_lost_face_is_looked_for_where_it_was_last_seen() -> None:
    seen = SHAPE + np.array([200, 100])
    nothing = np.zeros((200, 400, 3), np.uint8)
    found = list(follow(system(), [picture(seen), nothing, nothing, picture(seen + 4)], box(seen)))
    assert np.abs(found[-1].points[0] - seen - 4).max() < 2.5


@pytest.mark.parametrize("angle", [-40, 0, 55])
def test_a_crop_by_the_mean_shape_turns_with_the_face(angle: float) -> None:
    """The roll is that of the picture: what the crop took away, and the 3 degrees that are left in it."""
    truth = turned(angle) + np.array([200, 100])
    mean = (SHAPE / np.ptp(SHAPE, axis=0).max()).astype(np.float32)
    last = list(follow(system(mean), [picture(truth)] * 2, truth))[-1]
    assert np.abs(last.points[0] - truth).max() < 2.5
    assert last.pose[0, 2] == pytest.approx(angle + 3, abs=3)


def test_another_system_may_start() -> None:
    """Only the first frame is its: from points that lie 6 pixels beside the face."""
    truth = [SHAPE + np.array([200, 100]) for _ in range(3)]
    mean = (SHAPE / np.ptp(SHAPE, axis=0).max()).astype(np.float32)
    starter, follower = Counting(), Counting()
    systems = [system(mean, net) for net in (follower, starter)]
    found = list(follow(systems[0], map(picture, truth), truth[0] + 6, systems[1]))
    assert (starter.calls, follower.calls) == (1, 2)
    assert all(np.abs(faces.points[0] - truth[0]).max() < 2.5 for faces in found)
