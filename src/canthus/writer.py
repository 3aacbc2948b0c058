"""Results of many images in one folder: JSON, .pts, one CSV for all, overlays; each file is whole or not there."""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from canthus.drawing import draw
from canthus.errors import InputError, OutputError
from canthus.formats.record import Record
from canthus.formats.table import dump
from canthus.types import Faces, Image
from canthus.work.files import replace_whole
from canthus.work.journal import Entry, Journal, packed

KINDS = ("json", "csv", "pts")
TABLE = "faces.csv"
JOURNAL = ".canthus.jsonl"
OVERLAY_SIDE, OVERLAY_FACE, OVERLAY_LIMIT = 640, 240, 1600
"""Overlays are enlarged, by a whole number, to a longer side of 640 pixels, and so that a face has 240 pixels, but for
the sake of the face not beyond 1600."""
QUALITY = 92
"""Of JPEG, 0..100."""


class ResultFolder:
    """Writes the results of images; a context manager.

    For an image a/b.jpg it writes a/b.json, a/b_0.pts, a/b_1.pts and so on, and the overlay a/b.jpg; where two images
    differ in their extension alone, a/b.jpg.json and so on. On the way out it writes `TABLE` with all faces of all
    images. A journal tells which images are done. One run at a time may write to a folder.
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[Path],
        root: Path,
        kinds: Collection[str] = ("json",),
        *,
        overlay: bool = False,
        settings: str = "",
        resume: bool = False,
    ) -> None:
        """Say what to write.

        Args:
            folder: Where to; it is made.
            files: The image files.
            root: The folder from which their paths are kept.
            kinds: Some of `KINDS`.
            overlay: Draw the faces onto the images as well.
            settings: What the results depend on beside the images; what was written with others is not `done`.
            resume: Keep what an earlier run has done.

        Raises:
            OutputError: a kind is not known, or an overlay would replace an image.
        """
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise OutputError(f"results are written as {', '.join(KINDS)}, not as {', '.join(unknown)}")
        self.folder, self.kinds, self.overlay, self.resume = folder, tuple(kinds), overlay, resume
        self.settings = " ".join([settings, *sorted(kinds), "overlay" * overlay])
        self._images = {file: Path(os.path.relpath(file, root)) for file in files}
        self._stems = Counter(image.with_suffix("") for image in self._images.values())
        self._entries: dict[Path, Entry] = {}
        self._journal = Journal(folder / JOURNAL)
        self._open = ExitStack()
        if overlay:
            self._spare_images()

    def _spare_images(self) -> None:
        images = {os.path.realpath(file) for file in self._images}
        for file in self._images:
            target = self._target(file, ".jpg")
            if os.path.realpath(self.folder / target) in images:
                raise OutputError(
                    f"{self.folder / target}: the overlay of {file} would replace an image; write to another folder"
                )

    def __enter__(self) -> Self:
        """Make the folder, clear away what a killed run left half-written, and open the journal.

        Raises:
            OutputError: the folder cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for part in list(self.folder.rglob(".*.part.*")):
                part.unlink()
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot be written to: {error.strerror or error}; choose another folder"
            ) from error
        self._open.enter_context(self._journal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the table, unless writing is what has failed."""
        with self._open:
            if "csv" in self.kinds and not isinstance(error, OutputError):
                entries = [self._entries[file] for file in self._images if file in self._entries]
                dump(self.folder / TABLE, [record for entry in entries for record in records_of(entry)])

    def done(self, file: Path) -> bool:
        """True where an earlier run has written all results of an image file, and nothing has changed since."""
        entry = self._journal.entries.get(self._images[file].as_posix())
        if not self.resume or entry is None or entry.settings != self.settings or not file.is_file():
            return False
        whole = entry.stamp == _stamp(file) and all((self.folder / name).is_file() for name in entry.files)
        if whole:
            self._entries[file] = entry
        return whole

    def write(self, file: Path, image: Image, faces: Faces) -> None:
        """Write the results of one image.

        Args:
            file: The image file.
            image: Its content. Shape (H, W, 3).
            faces: What was found in it.

        Raises:
            OutputError: a file cannot be written.
            InputError: the image is too large for an overlay.
        """
        shown, size = self._images[file].as_posix(), (image.shape[1], image.shape[0])
        files = []
        if self.overlay:
            files.append(self._target(file, ".jpg"))
            write_jpeg(self.folder / files[-1], overlay_of(image, faces))
        records = _records(shown, size, faces)
        results: dict[str, list[Record]] = {}
        if "json" in self.kinds:
            results[self._target(file, ".json")] = records
        if "pts" in self.kinds:
            results |= {self._target(file, f"_{number}.pts"): [records[number]] for number in range(len(faces))}
        for target, some in results.items():
            dump(self.folder / target, some)
        files += results
        before = self._journal.entries.get(shown)
        for stale in set(before.files if before else ()) - set(files):
            (self.folder / stale).unlink(missing_ok=True)
        entry = Entry(shown, _stamp(file), self.settings, tuple(files), size, faces.scheme, packed(faces))
        self._journal.add(entry)
        self._entries[file] = entry

    def _target(self, file: Path, ending: str) -> str:
        """Path of a result from the folder."""
        image = self._images[file]
        stem = image.with_suffix("")
        return (stem if self._stems[stem] == 1 else image).as_posix() + ending


def _stamp(file: Path) -> tuple[int, int]:
    """Tells one state of a file from another."""
    try:
        state = file.stat()
    except OSError:  # gone since it was read
        return -1, -1
    return state.st_size, state.st_mtime_ns


def records_of(entry: Entry) -> list[Record]:
    """The faces of an image as `formats.dump` takes them."""
    return _records(entry.image, entry.size, entry.faces)


def _records(image: str, size: tuple[int, int], faces: Faces) -> list[Record]:
    """A record for each face; an empty one where there is none."""
    records = [
        Record(
            image,
            face.points,
            face.scheme,
            box=face.box,
            scores=face.scores,
            confidence=face.confidence,
            pose=None if np.isnan(face.pose).all() else face.pose,
            size=size,
        )
        for face in faces
    ]
    return records or [Record(image, scheme=faces.scheme, size=size)]


def overlay_of(image: Image, faces: Faces) -> Image:
    """The faces drawn onto an image (H, W, 3), which is enlarged where it or the faces are small."""
    longer = max(image.shape[:2])
    zoom = -(-OVERLAY_SIDE // longer)
    if len(faces):
        side = float(np.median((faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1)))
        zoom = max(zoom, min(round(OVERLAY_FACE / side), OVERLAY_LIMIT // longer))
    return draw(image, faces, zoom=max(1, zoom))


def write_jpeg(path: Path, image: Image) -> None:
    """Write an image (H, W, 3) as JPEG.

    Raises:
        OutputError: the file cannot be written.
        InputError: JPEG cannot hold an image of this size.
    """
    if max(image.shape[:2]) > 65500:
        raise InputError(f"{path}: {image.shape[1]} x {image.shape[0]} pixels do not fit into a JPEG; draw no overlays")
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    with replace_whole(path) as part:
        part.write_bytes(data.tobytes())
