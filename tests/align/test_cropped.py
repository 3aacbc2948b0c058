from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from canthus.align.compact import solver
from canthus.align.cropped import Cropped
from canthus.types import Floats


class Blobs:
    """A network that finds the brightest red, green and blue pixel: its points are known in the image."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        (crops,) = inputs
        self.batches.append(len(crops))
        count, size = crops.shape[:2]
        flat = crops.reshape(count, -1, 3).argmax(1)
        points = np.stack([flat % size, flat // size], -1).astype(np.float32)
        return {
            "points": points,
            "scores": np.tile(np.float32([0.2, 0.4, 0.9]), (count, 1)),
            "pose": np.zeros((count, 3), np.float32),
        }


@pytest.fixture
def network() -> Blobs:
    return Blobs()


@pytest.fixture
def aligner(network: Blobs) -> Cropped:
    return Cropped(solver({"landmarks": network}, 1), "68", 64, 1.5, batch=4)


def spots(places: list[tuple[int, int]]) -> NDArray[np.uint8]:
    image = np.zeros((200, 300, 3), np.uint8)
    for channel, (x, y) in enumerate(places):
        image[y - 2 : y + 3, x - 2 : x + 3, channel] = 200
        image[y, x, channel] = 255
    return image


def test_points_come_back_in_image_pixels(aligner: Cropped) -> None:
    places = [(100, 80), (130, 90), (115, 120)]
    (faces,) = aligner.align([spots(places)], [np.float32([[90, 70, 140, 130]])])
    pixel = 1.5 * 60 / 64
    assert np.abs(faces.points[0] - np.array(places)).max() <= 3 * pixel
    assert faces.confidence[0] == pytest.approx(0.5)


def test_batches_run_across_images_and_faces(aligner: Cropped, network: Blobs) -> None:
    image = spots([(100, 80), (130, 90), (115, 120)])
    box = np.float32([90, 70, 140, 130])
    results = aligner.align([image] * 3, [np.tile(box, (count, 1)) for count in (3, 0, 7)])
    assert [len(faces) for faces in results] == [3, 0, 7]
    assert network.batches == [4, 4, 2]
    assert np.array_equal(results[0].points[0], results[2].points[6])


def test_no_face_at_all(aligner: Cropped) -> None:
    (faces,) = aligner.align([spots([(5, 5)] * 3)], [np.zeros((0, 4), np.float32)])
    assert faces.points.shape == (0, 68, 2)
    assert faces.scheme == "68"
    assert aligner.align([], []) == []
