"""Images, faces and runs of `ResultFolder` for the tests of the writer."""

from pathlib import Path

import numpy as np

from canthus.types import Faces, Image
from canthus.writer.images import ResultFolder, jpeg_of

IMAGE = np.full((60, 80, 3), 90, np.uint8)


def write_jpeg(path: Path, image: Image) -> None:
    path.write_bytes(jpeg_of(path, image))


def faces_of(count: int, seed: int = 0) -> Faces:
    rng = np.random.default_rng(seed)
    points = rng.uniform(10, 50, (count, 5, 2))
    pose = rng.normal(0, 20, (count, 3))
    if count > 1:
        points[1, 3] = np.nan
        pose[1] = np.nan
    boxes = np.tile([10, 10, 50, 55], (count, 1))
    return Faces(points, boxes, rng.uniform(size=(count, 5)), np.full(count, 0.75), pose, "5")


def image_files(folder: Path) -> list[Path]:
    """Images, some with one stem, in one folder and in two."""
    files = [folder / "in" / name for name in ["a.jpg", "a.png", "b.jpg", "sub/a.jpg"]]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_jpeg(file.with_suffix(".jpg"), IMAGE)
        file.with_suffix(".jpg").replace(file)
    write_jpeg(files[0], IMAGE)
    return files


def run(folder: Path, images: list[Path], counts: list[int], **options: object) -> ResultFolder:
    sink = ResultFolder(folder, images, images[0].parent, ("json", "csv", "pts"), **options)  # type: ignore[arg-type]
    with sink:
        for number, (file, count) in enumerate(zip(images, counts, strict=True)):
            if not sink.done(file):
                sink.write(file, IMAGE, faces_of(count, number))
    return sink


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
