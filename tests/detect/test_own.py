"""The detector over an engine that computes its answers by a formula: it finds red discs anywhere in an image."""

from collections.abc import Mapping
from pathlib import Path
from shutil import copy

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from canthus.detect import own
from canthus.detect.detector import Detector, options_of
from canthus.detect.own import STRIDES, OwnDetector, decode, padded, suppress
from canthus.errors import BundleError, InputError, ShapeError
from canthus.runtime.bundle import default_bundle
from canthus.types import Floats


class Discs:
    """A cell answers for a red disc whose centre it is nearest to, if the disc's size fits the stride."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, *inputs: NDArray[np.uint8]) -> Mapping[str, Floats]:
        (pictures,) = inputs
        self.shapes.append(pictures.shape)
        count, height, width = pictures.shape[:3]
        assert height % 32 == width % 32 == 0
        maps = {s: np.full((count, 17, height // s, width // s), -8, np.float32) for s in STRIDES}
        for row, picture in enumerate(pictures):
            red = ((picture[..., 0] > 128) & (picture[..., 2] < 128)).astype(np.uint8)
            for x, y, w, h, _ in cv2.connectedComponentsWithStats(red)[2][1:].tolist():
                if max(w, h) < 6:
                    continue
                stride = 8 if max(w, h) < 60 else 16 if max(w, h) < 120 else 32
                middle = np.array([x + (w - 1) / 2, y + (h - 1) / 2])
                column, line = ((middle - (stride - 1) / 2) / stride).round().astype(int)
                one = maps[stride][row]
                column, line = min(column, one.shape[2] - 1), min(line, one.shape[1] - 1)
                cell = np.array([column, line]) * stride + (stride - 1) / 2
                sides = np.array([*(cell - (x - 0.5, y - 0.5)), *((x + w - 0.5, y + h - 0.5) - cell)])
                places = middle + np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]]) * w / 4
                one[0, line, column] = 4
                one[1:5, line, column] = np.log(np.maximum(sides, 0.1) / stride)
                one[5:15, line, column] = ((places - cell) / stride).ravel()
                one[15:, line, column] = np.sin(np.deg2rad(40)), np.cos(np.deg2rad(40))
        return {f"maps{s}": one for s, one in maps.items()}


def picture(height: int, width: int, discs: list[tuple[int, int, int]]) -> np.ndarray:
    """Discs (x, y, radius) on grey."""
    image = np.full((height, width, 3), 127, np.uint8)
    for x, y, radius in discs:
        cv2.circle(image, (x, y), radius, (255, 0, 0), -1)
    return image


@pytest.mark.parametrize(
    ("size", "discs"),
    [
        ((100, 130), [(40, 50, 20)]),
        ((300, 300), [(40, 50, 12), (200, 150, 60)]),
        ((700, 900), [(100, 80, 15), (500, 350, 200)]),
        ((1500, 1900), [(1270, 800, 30), (1100, 1270, 60), (700, 300, 15), (1880, 1480, 12)]),
        ((1500, 1900), [(950, 750, 500)]),
        ((20, 1500), [(1280, 10, 10)]),
    ],
)
def test_every_disc_once(size: tuple[int, int], discs: list[tuple[int, int, int]]) -> None:
    """Small and large ones, also across the borders of tiles."""
    faces = OwnDetector(Discs(), min_face=15).detect(picture(*size, discs))
    assert len(faces) == len(discs)
    for x, y, radius in discs:
        far = np.linalg.norm(faces.points[:, 2] - (x, y), axis=1)
        face = faces[int(far.argmin())]
        assert far.min() < 2 + radius / 20
        np.testing.assert_allclose(face.box, [x - radius, y - radius, x + radius, y + radius], atol=3 + radius / 10)
        assert face.pose[2] == pytest.approx(40, abs=1e-3) and np.isnan(face.pose[:2]).all()
    assert faces.scheme == "5" and (faces.confidence > 0.9).all()


def test_images_of_one_size_share_a_batch() -> None:
    engine = Discs()
    images = [picture(100, 130, [(40, 50, 15 + index)]) for index in range(3)]
    together = OwnDetector(engine).detect_many([*images, picture(50, 50, [])])
    assert engine.shapes == [(3, 128, 160, 3), (1, 64, 64, 3)]
    for faces, image in zip(together, images, strict=False):
        np.testing.assert_array_equal(faces.boxes, OwnDetector(Discs()).detect(image).boxes)
    assert len(together[3]) == 0 and together[3].points.shape == (0, 5, 2)


def test_options() -> None:
    image = picture(400, 400, [(60, 60, 20), (300, 80, 40), (200, 300, 60)])
    assert len(OwnDetector(Discs(), max_faces=2).detect(image)) == 2
    assert len(OwnDetector(Discs(), min_face=60).detect(image)) == 2
    assert len(OwnDetector(Discs(), threshold=0.999).detect(image)) == 0
    engine = Discs()
    OwnDetector(engine, min_face=80).detect(image)
    assert engine.shapes[0][1:3] == (128, 128), "of large faces a quarter of the pixels is enough"
    OwnDetector(engine := Discs(), max_side=200).detect(image)
    assert engine.shapes[0][1:3] == (224, 224)


def test_the_first_level_follows_from_the_smallest_faces() -> None:
    """By default these have 3 % of the longer side; smaller ones are found on request."""
    image = picture(720, 1280, [(300, 200, 22), (900, 300, 150), (1000, 650, 5)])
    engine = Discs()
    assert len(OwnDetector(engine).detect(image)) == 2
    assert [shape[1:3] for shape in engine.shapes] == [(480, 800), (128, 224)]
    assert len(OwnDetector(engine := Discs(), min_face=8).detect(image)) == 3
    assert engine.shapes[0][1:3] == (736, 1280)
    OwnDetector(engine := Discs()).detect(picture(600, 800, []))
    assert engine.shapes[0][1:3] == (608, 800), "3 % of a small image are at most 24 pixels"


def test_reduced_images_keep_their_positions() -> None:
    """A ramp of brightness stays the same ramp, whether the image is halved first or not."""
    ramp = np.repeat(np.linspace(0, 255, 960)[None, :, None], 540, 0).repeat(3, 2).astype(np.uint8)
    for width in (900, 480, 333, 101):
        small = own._reduced(ramp, (width, 60)).astype(float)
        wanted = np.interp((np.arange(width) + 0.5) * 960 / width - 0.5, np.arange(960), ramp[0, :, 0])
        assert small.shape == (60, width, 3) and np.abs(small[30, 3:-3, 0] - wanted[3:-3]).max() < 2


@pytest.mark.parametrize(
    "options", [{"min_face": 0}, {"threshold": 1.1}, {"overlap": 0}, {"max_side": 5}, {"max_faces": 0}]
)
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ShapeError, match="a detector needs"):
        OwnDetector(Discs(), **options)  # type: ignore[arg-type]


def test_the_bundle_of_the_package_or_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is looked for in the folder of the package, and opens as long as it is there."""
    shipped = default_bundle("detector")
    monkeypatch.setattr("canthus.runtime.bundle.files", lambda _: tmp_path)
    copy(shipped, tmp_path / "detector.canthus")
    assert len(Detector.open("own").detect(np.full((64, 64, 3), 127, np.uint8))) == 0
    (tmp_path / "detector.canthus").rename(tmp_path / "mine.canthus")
    with pytest.raises(BundleError, match=r"ships no bundle of the detector; train it \(canthus train detector\)"):
        Detector.open("own")
    assert isinstance(Detector.open("own", bundle=tmp_path / "mine.canthus"), OwnDetector)
    with pytest.raises(BundleError, match=r"gone\.canthus: no such bundle"):
        Detector.open("own", bundle=tmp_path / "gone.canthus")
    copy(shipped.with_stem("face_score"), tmp_path / "other.canthus")
    with pytest.raises(BundleError, match=r"other\.canthus: holds the system 'face_score', not a detector"):
        Detector.open("own", bundle=tmp_path / "other.canthus")


def test_options_belong_to_detectors() -> None:
    assert {"bundle", "min_face", "overlap", "max_side"} <= set(options_of("own"))
    with pytest.raises(InputError, match="the detector none has no min_face; it has no options"):
        Detector.open("none", min_face=3)
    with pytest.raises(InputError, match="opencv has no overlap"):
        Detector.open("opencv", overlap=0.3)


@given(st.integers(0, 1000), st.integers(0, 40), st.sampled_from([0.2, 0.4, 0.7]))
def test_suppression_is_that_of_opencv(seed: int, count: int, overlap: float) -> None:
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, 60, (count, 2)), rng.uniform(5, 40, (count, 2))
    boxes, scores = np.concatenate([corner, corner + side], 1), rng.permutation(count) / 100 + 0.1
    kept = cv2.dnn.NMSBoxes(np.concatenate([corner, side], 1).tolist(), scores.tolist(), 0, overlap)
    np.testing.assert_array_equal(suppress(boxes, scores, overlap), np.array(kept, np.intp).reshape(-1))


def test_cells_mean_the_same_in_numpy_and_torch() -> None:
    import torch

    from canthus.nets.detection import detector as nets

    rng = np.random.default_rng(0)
    maps = [rng.normal(0, 1, (17, 96 // s, 64 // s)).astype(np.float32) for s in STRIDES]
    ours = decode(maps, 0.0)
    found = nets.decode(tuple(torch.from_numpy(one)[None] for one in maps))
    np.testing.assert_allclose(ours.boxes, found.box[0], atol=1e-3)
    np.testing.assert_allclose(ours.scores, found.score[0].sigmoid(), atol=1e-6)
    np.testing.assert_allclose(ours.points, found.points[0], atol=1e-3)
    angle = np.deg2rad(ours.rolls)
    direction = torch.nn.functional.normalize(found.turn[0], dim=1).numpy()
    np.testing.assert_allclose(np.stack([np.sin(angle), np.cos(angle)], 1), direction, atol=1e-5)


def test_padding_adds_to_the_right_and_below() -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 64, 3), np.uint8)
    whole = padded(image)
    assert whole.shape == (64, 64, 3)
    np.testing.assert_array_equal(whole[:33], image)
    assert (whole[33:] == own.GREY).all()
