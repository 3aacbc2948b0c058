"""The chain, with a detector and an aligner whose answers follow from the picture by a formula."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from PIL import Image as pillow

from canthus.align.aligner import Aligner
from canthus.detect.detector import DETECTORS
from canthus.detect.given import BoxFile
from canthus.errors import InputError, ShapeError
from canthus.pipeline import Pipeline, Result
from canthus.reader.image import read
from canthus.types import FaceDetector, Faces, Image


def picture(faces: int, height: int = 8) -> Image:
    """Its first pixel holds the number of faces that the fake detector finds."""
    image = np.full((height, 16, 3), 128, np.uint8)
    image[0, 0] = faces
    return image


class CountingDetector(FaceDetector):
    """As many boxes as the first pixel says; the confidence numbers them."""

    def detect(self, image: Image) -> Faces:
        count = int(image[0, 0, 0])
        start = np.arange(count, dtype=np.float32)
        boxes = np.stack([start % 4, start % 3, start % 4 + 4, start % 3 + 4], -1)
        return Faces.of_boxes(boxes, np.linspace(0, 1, count))


class CornerAligner:
    """The five points of a face are corners and centre of its box; notes the batches it gets."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def align_many(
        self, images: Sequence[Image], boxes: Sequence[ArrayLike], rolls: Sequence[ArrayLike] | None = None
    ) -> list[Faces]:
        assert len(images) == len(boxes)
        self.batches.append([len(some) for some in map(np.asarray, boxes)])
        return [self._one(np.asarray(some, np.float32).reshape(-1, 4)) for some in boxes]

    def _one(self, boxes: np.ndarray) -> Faces:
        if not len(boxes):
            return Faces.empty("5", 5)
        x0, y0, x1, y1 = boxes.T
        points = np.stack([(x0, y0), (x1, y0), ((x0 + x1) / 2, (y0 + y1) / 2), (x0, y1), (x1, y1)]).transpose(2, 0, 1)
        return Faces(points, boxes, np.ones((len(boxes), 5)), scheme="5")


@settings(max_examples=25)
@given(st.lists(st.sampled_from([0, 0, 1, 2, 7, 200]), max_size=12), st.integers(1, 64))
def test_batches_change_nothing(counts: list[int], batch: int) -> None:
    pipeline = Pipeline(CountingDetector(), CornerAligner(), batch)
    results = list(pipeline.run(picture(count) for count in counts))
    assert [len(faces) for faces in results] == counts
    for count, faces in zip(counts, results, strict=True):
        expected = CountingDetector().detect(picture(count))
        assert faces.scheme == "5" and faces.points.shape == (count, 5, 2)
        np.testing.assert_array_equal(faces.boxes, expected.boxes)
        np.testing.assert_array_equal(faces.points[:, 0], expected.boxes[:, :2])
        np.testing.assert_array_equal(faces.confidence, expected.confidence)


@pytest.mark.parametrize("batch", [1, 3])
def test_results_come_as_soon_as_their_batch_is_there(batch: int) -> None:
    """Also where no image shows a face."""
    taken = 0

    def camera() -> Iterator[Image]:
        nonlocal taken
        for count in [0, 0, 0, 1, 2, 0]:
            taken += 1
            yield picture(count)

    results = Pipeline(CountingDetector(), CornerAligner()).run(camera(), batch=batch)
    for number, _ in enumerate(results, 1):
        assert taken <= -(-number // batch) * batch
    assert taken == 6


def test_files_and_images_of_pillow_are_taken(tmp_path: Path) -> None:
    """A photograph on its side, and one with transparent pixels, are seen as `read` gives them."""
    rng = np.random.default_rng(0)
    pillow.fromarray(rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)).save(tmp_path / "clear.png")
    exif = pillow.Exif()
    exif[0x0112] = 6
    pillow.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "side.png", exif=exif)
    seen: list[Image] = []

    class Watching(CountingDetector):
        def detect(self, image: Image) -> Faces:
            seen.append(image)
            return Faces.empty()

    pipeline = Pipeline(Watching(), CornerAligner())
    for name in ("clear.png", "side.png"):
        pixels = read(tmp_path / name)
        for image in (tmp_path / name, str(tmp_path / name), pillow.open(tmp_path / name), pixels):
            pipeline(image)
        assert all(one.shape == pixels.shape for one in seen)
        assert max(np.abs(one.astype(int) - pixels).max() for one in seen) <= 1
        seen.clear()
    with pytest.raises(ShapeError, match="not list"):
        pipeline([1])  # type: ignore[arg-type]


def test_faces_of_several_images_share_a_batch() -> None:
    aligner = CornerAligner()
    list(Pipeline(CountingDetector(), aligner, 4, passes=1).run(picture(count) for count in [1, 0, 2, 1, 9, 1]))
    assert aligner.batches == [[1, 0, 2, 1], [9], [1]]


def test_images_without_faces_do_not_pile_up() -> None:
    frames = iter([picture(0)] * 100)
    next(Pipeline(CountingDetector(), CornerAligner(), 4).run(frames))
    assert len(list(frames)) == 96


def test_large_images_do_not_wait_for_a_full_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canthus.pipeline.HELD_PIXELS", 3 * 8 * 16)
    aligner = CornerAligner()
    list(Pipeline(CountingDetector(), aligner, 1000, passes=1).run([picture(1)] * 7))
    assert aligner.batches == [[1, 1, 1], [1, 1, 1], [1]]


def test_batches_and_passes_below_one_are_refused() -> None:
    for numbers in ({"passes": -3}, {"passes": 0}, {"batch": 0}):
        with pytest.raises(ShapeError, match="batch >= 1 and passes >= 1"):
            Pipeline(CountingDetector(), CornerAligner(), **numbers)
    with pytest.raises(ShapeError, match="batch >= 1 and passes >= 1, not 32 and -3"):
        Pipeline.open(detector=CountingDetector(), passes=-3)
    for batch in (-1, 0):
        with pytest.raises(ShapeError, match=f"at least one image, not {batch}"):
            Pipeline(CountingDetector(), CornerAligner()).run([picture(1)], batch=batch)


def test_one_image() -> None:
    pipeline = Pipeline(CountingDetector(), CornerAligner())
    assert len(pipeline(picture(3))) == 3
    assert len(pipeline(picture(0))) == 0
    with pytest.raises(ShapeError, match="an image is uint8"):
        pipeline(picture(1).astype(np.float32))


def test_confidence_is_the_detectors_or_the_aligners_where_boxes_are_given(files: list[Path]) -> None:
    class Sure(CornerAligner):
        def _one(self, boxes: np.ndarray) -> Faces:
            return replace(super()._one(boxes), confidence=np.full(len(boxes), 0.25, np.float32))

    pipeline = Pipeline(CountingDetector(), Sure())
    np.testing.assert_array_equal(pipeline(picture(3)).confidence, [0, 0.5, 1])
    boxes = BoxFile({"2.png": np.array([[1, 1, 5, 5], [2, 2, 5, 5]], np.float32)}, "boxes.csv")
    (result,) = pipeline.files([files[2]], boxes)
    np.testing.assert_array_equal(result.faces.confidence, [0.25, 0.25])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Images with 0, 1, 2 ... faces, and among them what is no image."""
    paths = []
    for count in range(6):
        paths.append(tmp_path / f"{count}.png")
        cv2.imwrite(str(paths[-1]), picture(count))
    (tmp_path / "3.png").write_bytes(b"no image")
    (tmp_path / "4.png").write_bytes(b"")
    return [*paths, tmp_path / "gone.png"]


def test_a_bad_file_does_not_end_the_run(files: list[Path]) -> None:
    results = list(Pipeline(CountingDetector(), CornerAligner(), 2).files(files))
    assert [result.path for result in results] == files
    assert [len(result.faces) for result in results] == [0, 1, 2, 0, 0, 5, 0]
    failed = [result.path.name for result in results if result.error is not None]
    assert failed == ["3.png", "4.png", "gone.png"]
    for result in results:
        assert (result.image is None) == (result.error is not None)
        assert result.error is None or str(result.error).startswith(str(result.path))


def test_given_boxes(files: list[Path]) -> None:
    box = np.array([[2, 1, 9, 6]], np.float32)
    boxes = BoxFile({"1.png": box, "2.png": box + 100, "5.png": np.zeros((0, 4), np.float32)}, "boxes.csv")
    chosen = [files[1], files[0], files[2], files[5]]
    results: list[Result] = list(Pipeline(CountingDetector(), CornerAligner()).files(chosen, boxes))
    np.testing.assert_array_equal(results[0].faces.boxes, box)
    assert "no boxes in boxes.csv" in str(results[1].error)
    assert "lies outside the image of 16 x 8 pixels" in str(results[2].error)
    assert str(results[2].error).startswith(str(files[2]))
    assert results[3].error is None and len(results[3].faces) == 0


def test_errors_of_the_aligner_are_not_hidden(files: list[Path]) -> None:
    class Broken(CornerAligner):
        def align_many(
            self, images: Sequence[Image], boxes: Sequence[ArrayLike], rolls: Sequence[ArrayLike] | None = None
        ) -> list[Faces]:
            raise ShapeError("broken")

    with pytest.raises(ShapeError, match="broken"):
        list(Pipeline(CountingDetector(), Broken()).files(files))


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("Insufficient memory")])
def test_too_little_memory_fails_one_image(files: list[Path], error: Exception) -> None:
    if isinstance(error, cv2.error):
        error.code = cv2.Error.StsNoMem  # type: ignore[misc]

    class Full(CornerAligner):
        def align_many(
            self, images: Sequence[Image], boxes: Sequence[ArrayLike], rolls: Sequence[ArrayLike] | None = None
        ) -> list[Faces]:
            if any(len(np.asarray(some)) == 2 for some in boxes):
                raise error
            return super().align_many(images, boxes, rolls)

    class Blind(CountingDetector):
        def detect(self, image: Image) -> Faces:
            if image[0, 0, 0] == 1:
                raise error
            return super().detect(image)

    results = list(Pipeline(Blind(), Full(), 4).files([files[0], files[1], files[2], files[5]]))
    assert [len(result.faces) for result in results] == [0, 0, 0, 5]
    for result, failed in zip(results, [False, True, True, False], strict=True):
        assert (result.error is not None) == failed
        assert not failed or str(result.error).startswith(f"{result.path}: there is not enough memory")
    with pytest.raises(type(error)):
        list(Pipeline(CountingDetector(), Full()).run([picture(2)]))


class Choosy(CountingDetector):
    """Notes the batches it gets; refuses images with 7 faces."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def detect_many(self, images: Sequence[Image]) -> list[Faces]:
        self.batches.append(len(images))
        if any(image[0, 0, 0] == 7 for image in images):
            raise InputError("seven")
        return super().detect_many(images)


def test_images_go_through_the_detector_together(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Choosy()
    list(Pipeline(detector, CornerAligner(), 4).run([picture(1)] * 10))
    assert detector.batches == [4, 4, 2]
    list(Pipeline(detector := Choosy(), CornerAligner(), 1).run([picture(1)] * 3))
    assert detector.batches == [1, 1, 1], "no image waits for another"
    monkeypatch.setattr("canthus.pipeline.DETECTED_PIXELS", 3 * 8 * 16)
    list(Pipeline(detector := Choosy(), CornerAligner(), 100).run([picture(1), picture(1, 16), *[picture(1)] * 4]))
    assert detector.batches == [2, 3, 1]


def test_an_image_that_the_detector_refuses_fails_alone(files: list[Path]) -> None:
    cv2.imwrite(str(files[1]), picture(7))
    results = list(Pipeline(detector := Choosy(), CornerAligner()).files(files))
    assert detector.batches[0] == 4, "only those that could be read"
    assert [result.path.name for result in results if result.error is not None] == [
        "1.png",
        "3.png",
        "4.png",
        "gone.png",
    ]
    assert str(results[1].error) == "seven" and results[1].image is not None
    assert [len(result.faces) for result in results] == [0, 0, 2, 0, 0, 5, 0]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_faces_that_the_own_detector_finds_do_not_depend_on_the_batch(batch: int) -> None:
    """With the default bundles: images of one size share a batch of the network."""
    portrait = read(Path(__file__).parents[1] / "examples" / "astronaut.jpg")[20:320, 80:380].copy()
    images = [
        portrait,
        np.ascontiguousarray(portrait[:, ::-1]),
        portrait // 2,
        portrait[:200],
        np.roll(portrait, 40, 0),
    ]
    pipeline = Pipeline.open(batch=batch, max_side=320)
    together = list(pipeline.run(images))
    assert sum(map(len, together)) >= 4
    for image, faces in zip(images, together, strict=True):
        alone = pipeline(image)
        for name in Faces.arrays():
            np.testing.assert_allclose(getattr(faces, name), getattr(alone, name), atol=2e-3, err_msg=name)


def test_open_passes_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def fake(path: object = None, **options: object) -> CornerAligner:
        seen.update(options, path=path)
        return CornerAligner()

    monkeypatch.setattr(Aligner, "open", fake)
    monkeypatch.setattr("canthus.detect.opencv.Cascades", object)  # which OpenCV 5 does not have
    pipeline = Pipeline.open(
        "a.canthus", "opencv", threads=2, precision="int8", batch=7, depth=2, max_faces=3, min_face=50
    )
    asked = {"device": "cpu", "threads": 2, "precision": "int8", "batch": 7, "depth": 2}
    assert seen == {"path": "a.canthus", **asked}
    assert (pipeline.batch, pipeline.detector.max_faces, pipeline.detector.min_face) == (7, 3, 50)
    made: dict[str, object] = {}
    monkeypatch.setitem(
        DETECTORS, "own", lambda *, device, threads, **options: made.update(options, device=device, threads=threads)
    )
    Pipeline.open(device="cuda", threads=3, max_side=100)
    assert made == {"device": "cuda", "threads": 3, "max_side": 100}
    own = CountingDetector()
    assert Pipeline.open(detector=own).detector is own
    with pytest.raises(InputError, match="min_face"):
        Pipeline.open(detector=own, min_face=50)
    with pytest.raises(InputError, match=r"no detector is called 'hal'; there are given, mtcnn, none, opencv, own"):
        Pipeline.open(detector="hal")


class Halving(CornerAligner):
    """Like an aligner that always finds the points in half of the box it is given."""

    def _one(self, boxes: np.ndarray) -> Faces:
        centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 4
        smaller = np.concatenate([centre - half, centre + half], 1)
        return replace(super()._one(smaller), boxes=boxes.astype(np.float32))


def test_the_second_pass_starts_from_the_points_of_the_first(files: list[Path]) -> None:
    image = picture(1)
    (box,) = CountingDetector().detect(image).boxes
    sides = [np.ptp(Pipeline(CountingDetector(), Halving(), passes=n)(image).points[0], axis=0) for n in (1, 2, 3)]
    for index, side in enumerate(sides):
        np.testing.assert_allclose(side, (box[2:] - box[:2]) / 2 ** (index + 1))


def test_faces_on_a_line_keep_their_box() -> None:
    class Flat(CornerAligner):
        def _one(self, boxes: np.ndarray) -> Faces:
            faces = super()._one(boxes)
            return replace(faces, points=faces.points * np.float32([1, 0]))

    image = picture(2)
    faces = Pipeline(CountingDetector(), Flat())(image)
    np.testing.assert_array_equal(faces.boxes, CountingDetector().detect(image).boxes)
