"""Writes the results of many images to one folder: files per image, tables of all images, and overlays.

Every file is complete or does not exist.
"""

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
from canthus.formats.mat import check_installed
from canthus.formats.record import Record
from canthus.formats.table import dump
from canthus.types import Faces, Floats, Image
from canthus.work.files import replace_whole
from canthus.work.journal import Entry, Journal, packed

KINDS = ("json", "csv", "pts", "ljson", "npz", "mat")
"""Formats that results can be written in."""
PER_FACE = ("pts", "ljson")
"""Formats with one file per face."""
TABLES = {"csv": "faces.csv", "npz": "faces.npz", "mat": "faces.mat"}
"""Formats with one file for all images, and its name."""
JOURNAL = ".canthus.jsonl"
OVERLAY_SIDE, OVERLAY_FACE, OVERLAY_LIMIT = 640, 240, 1600
"""Overlays are enlarged by a whole number until the longer side of the image has 640 pixels and that of a typical face
240, but for small faces to at most 1600 pixels."""
QUALITY = 92
"""JPEG quality of overlays, 0..100."""


class ResultFolder:
    """Writes the results of images; a context manager.

    For an image a/b.jpg it writes a/b.json, one file per face (a/b_0.pts, a/b_1.pts, ...), and the overlay a/b.jpg;
    where two images differ only in their extension, a/b.jpg.json and so on. On exit it writes the `TABLES` with the
    faces of all images. A journal records the finished images. Only one run at a time may write to a folder.
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
        """Choose what to write.

        Args:
            folder: Folder of the results; it is created.
            files: Image files.
            root: Folder that the paths of results are relative to.
            kinds: Formats, some of `KINDS`.
            overlay: Whether to draw the faces onto the images as well.
            settings: Settings that the results depend on besides the images; with others no image is `done`.
            resume: Whether to keep the results of an earlier run.

        Raises:
            OutputError: a format is not known, or an overlay would replace an image.
            ExtraMissingError: .mat files are wanted, and SciPy or h5py is not installed.
        """
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise OutputError(f"results are written as {', '.join(KINDS)}, not as {', '.join(unknown)}")
        if "mat" in kinds:
            check_installed()
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
        """Create the folder, remove incomplete files of a killed run, and open the journal.

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
        """Write the tables, unless the run failed because a file could not be written."""
        with self._open:
            tables = {form: name for form, name in TABLES.items() if form in self.kinds}
            if isinstance(error, OutputError) or not tables:
                return
            entries = [self._entries[file] for file in self._images if file in self._entries]
            records = [record for entry in entries for record in records_of(entry)]
            faces = [record for record in records if not record.empty]
            for form, name in tables.items():  # of the tables only .csv can hold an image without a face
                dump(self.folder / name, records if form == "csv" else faces)

    def done(self, file: Path) -> bool:
        """True where an earlier run has written all results of an image file, which has not changed since."""
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
            image: Its pixels. Shape (H, W, 3).
            faces: Faces found in it.

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
        for kind in PER_FACE:
            if kind in self.kinds:
                results |= {self._target(file, f"_{number}.{kind}"): [records[number]] for number in range(len(faces))}
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
        """Path of a result relative to the folder."""
        image = self._images[file]
        stem = image.with_suffix("")
        return (stem if self._stems[stem] == 1 else image).as_posix() + ending


def _stamp(file: Path) -> tuple[int, int]:
    """Size and modification time of a file, which change when it does."""
    try:
        state = file.stat()
    except OSError:  # gone since it was read
        return -1, -1
    return state.st_size, state.st_mtime_ns


def records_of(entry: Entry) -> list[Record]:
    """The faces of an image as records of `formats`."""
    return _records(entry.image, entry.size, entry.faces)


def _records(image: str, size: tuple[int, int], faces: Faces) -> list[Record]:
    """One record per face; an empty one for an image without a face."""
    records = [
        Record(
            image,
            face.points,
            face.scheme,
            box=face.box,
            scores=face.scores,
            confidence=face.confidence,
            pose=_known(face.pose),
            size=size,
            occluded=_known(face.occluded),
            raw=_known(face.raw),
            view=face.view,
        )
        for face in faces
    ]
    return records or [Record(image, scheme=faces.scheme, size=size)]


def _known(values: Floats) -> Floats | None:
    """The values; None where all are NaN."""
    return None if np.isnan(values).all() else values


def overlay_of(image: Image, faces: Faces) -> Image:
    """An image (H, W, 3) with the faces drawn onto it, enlarged where the image or the faces are small."""
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
