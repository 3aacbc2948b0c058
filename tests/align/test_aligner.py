from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.align.aligner import Aligner
from canthus.align.systems import SYSTEMS
from canthus.data.catalogue import open_set
from canthus.errors import BundleError, ShapeError
from canthus.evaluate.metrics import distances, normalisers
from canthus.geometry.crop import box_of
from canthus.geometry.transform import apply, compose, similarity
from canthus.reader.image import read
from canthus.runtime.bundle import Bundle, pack_arrays, write_bundle

IMAGE = np.full((120, 160, 3), 90, np.uint8)
PORTRAIT_BOX = np.float32([189, 87, 269, 169])
"""The box of the landmarks in the portrait, by eye."""


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    return Aligner.open()


def test_shapes(aligner: Aligner) -> None:
    faces = aligner.align(IMAGE, [[10, 10, 60, 70], [40, 20, 90, 90]])
    assert faces.points.shape == (2, 68, 2)
    assert faces.scores.shape == (2, 68)
    assert faces.pose.shape == (2, 3)
    assert faces.scheme == aligner.scheme.name == "68"
    assert ((faces.scores >= 0) & (faces.scores <= 1)).all()
    assert len(aligner.align(IMAGE, [])) == 0


def test_a_face_does_not_depend_on_its_batch(aligner: Aligner, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (120, 160, 3), np.uint8)
    boxes = np.float32([[10, 10, 60, 70], [40, 20, 90, 90], [70, 30, 150, 110]])
    together = aligner.align_many([image, image], [boxes, boxes[1:]])
    for index, box in enumerate(boxes):
        alone = aligner.align(image, box)
        assert np.abs(alone.points[0] - together[0].points[index]).max() < 1e-3
    assert np.abs(together[0].points[1:] - together[1].points).max() < 1e-3


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[np.nan, 0, 10, 10]], "not a finite number"),
        ([[10, 10, 10, 20]], "no area"),
        ([[30, 10, 20, 20]], "x0 y0 x1 y1"),
        ([[1, 2, 3]], r"\(F, 4\)"),
    ],
)
def test_bad_boxes(aligner: Aligner, boxes: list[list[float]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        aligner.align(IMAGE, boxes)


@pytest.mark.parametrize("image", [IMAGE[..., 0], IMAGE.astype(np.float32), IMAGE[:0], "portrait.jpg"])
def test_bad_images(aligner: Aligner, image: object) -> None:
    with pytest.raises(ShapeError):
        aligner.align(image, [[0, 0, 10, 10]])  # type: ignore[arg-type]


def test_as_many_boxes_as_images(aligner: Aligner) -> None:
    with pytest.raises(ShapeError, match="2 images, but boxes for 1"):
        aligner.align_many([IMAGE, IMAGE], [[[0, 0, 9, 9]]])


def test_a_bundle_of_an_unknown_system(tmp_path: Path) -> None:
    bundle = Bundle.open()
    networks = {
        member.file: bundle.network(name, precision)
        for name, variants in bundle.card.parts.items()
        for precision, member in variants.items()
    }
    arrays = {
        stage.arrays.file: pack_arrays(bundle.arrays(stage)) for stage in bundle.card.stages if stage.arrays is not None
    }
    path = tmp_path / "new.canthus"
    write_bundle(path, bundle.card.model_copy(update={"system": "telepathy"}), networks | arrays)
    with pytest.raises(BundleError, match=f"'telepathy' is not known; there are {', '.join(SYSTEMS)}"):
        Aligner.open(path)


def test_a_turned_face_is_aligned_from_a_turned_crop() -> None:
    """The portrait at any angle: with the roll told, the points of the upright portrait come back."""
    portrait = read(Path(__file__).parents[2] / "examples" / "astronaut.jpg")
    aligner = Aligner.open()
    upright = aligner.align(portrait, PORTRAIT_BOX)
    inter_ocular = float(np.linalg.norm(upright.points[0, 36] - upright.points[0, 45]))
    for angle in (30.0, 90.0, -120.0, 180.0):
        middle = compose(similarity(1, angle, (256, 256)), similarity(shift=(-229, -128)))
        image = cv2.warpAffine(portrait, middle, (512, 512), flags=cv2.INTER_CUBIC).astype(np.uint8)
        truth = apply(middle, upright.points[0])
        box = box_of(truth)
        told, blind = aligner.align(image, box, [angle]), aligner.align(image, box)
        error, other = (np.linalg.norm(f.points[0] - truth, axis=1).mean() / inter_ocular for f in (told, blind))
        assert error < 0.03 and (other > 2 * error or abs(angle) < 45)
        np.testing.assert_array_equal(told.boxes[0], box)
        turn = (told.pose[0, 2] - upright.pose[0, 2] - angle + 180) % 360 - 180
        assert abs(turn) < 4 and np.abs(told.pose[0, :2] - upright.pose[0, :2]).max() < 6


def test_rolls_belong_to_boxes(aligner: Aligner) -> None:
    boxes = np.float32([[10, 10, 60, 70], [40, 20, 90, 90]])
    plain = aligner.align(IMAGE, boxes)
    unknown = aligner.align(IMAGE, boxes, [np.nan, 0])
    np.testing.assert_allclose(unknown.points, plain.points, atol=1e-3)
    with pytest.raises(ShapeError, match="rolls of"):
        aligner.align(IMAGE, boxes, [10])


@pytest.mark.parametrize(
    ("rolls", "message"),
    [
        ([0, np.inf], "roll 1 is infinite; give degrees, or NaN"),
        ([-np.inf, np.nan], "roll 0 is infinite"),
        ([1e300, 0], "roll 0 is infinite"),
        (["a", 0], "in degrees: could not convert"),
        ([[0], [0, 1]], "in degrees"),
    ],
)
def test_bad_rolls(aligner: Aligner, rolls: list[float], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        aligner.align(IMAGE, [[10, 10, 60, 70], [40, 20, 90, 90]], rolls)


@pytest.mark.data
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 0.05), ("int8", 0.06)])
def test_real_faces(data_root: Path, precision: str, limit: float) -> None:
    """Validation faces are found, and far better than by the mean face."""
    aligner = Aligner.open(precision=precision)  # type: ignore[arg-type]
    samples = open_set("wild68", data_root, "val")[:40]
    truth = np.stack([sample.points for sample in samples])
    results = aligner.align_many([read(s.image) for s in samples], [box[None] for box in box_of(truth)])
    predicted = np.concatenate([faces.points for faces in results])
    scale = normalisers(truth, "inter-ocular", aligner.scheme)
    assert (distances(predicted, truth).mean(1) / scale).mean() < limit
    scores = np.concatenate([faces.scores for faces in results])
    error = distances(predicted, truth) / scale[:, None]
    assert error[scores > np.median(scores)].mean() < error[scores < np.median(scores)].mean()
