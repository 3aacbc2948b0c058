"""Writes the results of many images to one folder: files per image, tables of all images, and overlays.

Every file is complete or does not exist.
"""

import errno
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from stat import S_ISREG
from types import TracebackType
from typing import Self
from zlib import crc32

import cv2
import numpy as np

from canthus.drawing import draw
from canthus.errors import InputError, OutputError
from canthus.formats.faces import faces_in
from canthus.formats.matlab import check_installed
from canthus.formats.record import Record
from canthus.formats.table import FORMATS, dump
from canthus.types import Faces, Image
from canthus.work.files import clear_parts, replace_whole
from canthus.work.journal import JOURNAL, Entry, Journal, packed
from canthus.work.names import names_of, result_names, text_of

KINDS = ("json", "csv", "pts", "ljson", "npz", "mat")
"""Formats that results can be written in."""
PER_FACE = ("pts", "ljson")
"""Formats with one file per face."""
TABLES = {"csv": "faces.csv", "npz": "faces.npz", "mat": "faces.mat"}
"""Formats with one file for all images, and its name."""
OVERLAY = ".jpg"
"""Ending of overlays."""
OVERLAY_SIDE, OVERLAY_FACE, OVERLAY_LIMIT = 640, 240, 1600
"""Overlays are enlarged by a whole number until the longer side of the image has 640 pixels and that of a typical face
240, but for small faces to at most 1600 pixels."""
MAPS = ".maps.png"
"""Ending of pictures of maps."""
ENDING = re.compile(r"\.json|\.jpg|\.maps\.png|_\d{1,9}\.(pts|ljson)")
"""Endings of the results of one image; files with other endings are never removed."""
NAMING = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
"""Errors of the system that concern the name of one file, so that the files of other images can be written."""
QUALITY = 92
"""JPEG quality of overlays, 0..100."""


class ResultFolder:
    """Writes the results of images; a context manager.

    For an image a/b.jpg it writes a/b.json, one file per face (a/b_0.pts, a/b_1.pts, ...), and the overlay a/b.jpg;
    where two images would share that name, a/b.jpg.json and so on [work.names]. On exit it writes the `TABLES` with the
    faces of all images. A journal records the finished images. Only one run at a time may write to a folder.

    Nothing is written or removed outside the folder, and nothing is removed that no earlier run has written.
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[Path],
        root: Path,
        kinds: Collection[str] = ("json",),
        *,
        overlay: bool = False,
        maps: Callable[[Image, Faces], Image] | None = None,
        settings: str = "",
        resume: bool = False,
    ) -> None:
        """Choose what to write.

        Args:
            folder: Folder of the results; it is created.
            files: Image files.
            root: Folder that the paths of results are relative to; it holds all image files.
            kinds: Formats, some of `KINDS`.
            overlay: Whether to draw the faces onto the images as well.
            maps: What draws the maps of the faces of an image (`Aligner.sheet`); None = they are not drawn.
            settings: Settings that the results depend on besides the images; with others no image is `done`.
            resume: Whether to keep the results of an earlier run.

        Raises:
            OutputError: a format is not known, an image lies outside `root`, or an overlay would replace an image.
            ExtraMissingError: .mat files are wanted, and SciPy or h5py is not installed.
        """
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise OutputError(f"results are written as {', '.join(KINDS)}, not as {', '.join(unknown)}")
        if "mat" in kinds:
            check_installed()
        self.folder, self.kinds, self.overlay, self.maps, self.resume = folder, tuple(kinds), overlay, maps, resume
        self.settings = " ".join([settings, *sorted(kinds), "overlay" * overlay, "maps" * (maps is not None)])
        self._images = {file: Path(os.path.relpath(file, root)) for file in files}
        if outside := [file for file, image in self._images.items() if ".." in image.parts]:
            raise OutputError(f"{outside[0]}: lies outside {root}, the folder that results are relative to")
        names = result_names(self._images.values())
        self._names = {file: names[image] for file, image in self._images.items()}
        self._finished: set[Path] = set()
        self._inside: set[Path] = set()
        self._journal = Journal(folder / JOURNAL)
        self._open = ExitStack()
        self._spare_images()

    def _spare_images(self) -> None:
        images = {os.path.realpath(file) for file in self._images}
        for file, name in self._names.items():
            for ending in self._pictures():
                target = self.folder / (name + ending)
                if os.path.realpath(target) in images:
                    raise OutputError(f"{target}: a picture of {file} would replace an image; write to another folder")

    def __enter__(self) -> Self:
        """Create the folder, remove incomplete files of a killed run, and open the journal.

        Raises:
            OutputError: the folder cannot be written to, or holds files that canthus has not written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / JOURNAL).exists():
                self._spare_files()
            for place in {(self.folder / name).parent for name in self._names.values()} | {self.folder}:
                if self._is_inside(place):
                    clear_parts(place)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot be written to: {error.strerror or error}; choose another folder"
            ) from error
        self._open.enter_context(self._journal)
        return self

    def _spare_files(self) -> None:
        """Refuse a folder that no run has used, and where results would replace files."""
        tables = (self.folder / TABLES[kind] for kind in self.kinds if kind in TABLES)
        results = (self.folder / (name + ending) for name in self._names.values() for ending in self._endings(1))
        for path in (*tables, *results):
            if os.path.lexists(path):
                raise OutputError(f"{path}: exists, and canthus did not write it; choose another folder, or remove it")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the tables, unless the run failed because a file could not be written."""
        with self._open:
            tables = {form: name for form, name in TABLES.items() if form in self.kinds}
            if isinstance(error, OutputError) or not tables:
                return
            names = [text_of(image) for file, image in self._images.items() if file in self._finished]
            records = [record for name in names for record in records_of(self._entry(name))]
            faces = [record for record in records if not record.empty]
            for form, name in tables.items():  # of the tables only .csv can hold an image without a face
                dump(self.folder / name, records if form == "csv" else faces)

    def _entry(self, image: str) -> Entry:
        """What the journal says of an image that is finished.

        Raises:
            OutputError: somebody has changed the journal meanwhile.
        """
        entry = self._journal.entries.get(image)
        if entry is None:
            raise OutputError(
                f"{self.folder / JOURNAL}: was changed or removed during the run; run again with --resume"
            )
        return entry

    def done(self, file: Path) -> bool:
        """True where an earlier run has written all results of an image file, and the image has not changed since.

        An image with a result that is missing, or has become shorter, is not done.
        """
        entry, name = self._journal.entries.get(text_of(self._images[file])), self._names[file]
        if not self.resume or entry is None or entry.settings != self.settings or entry.name != text_of(Path(name)):
            return False
        if (
            entry.stamp != _stamp(file)
            or not file.is_file()
            or set(entry.files) != set(self._endings(len(entry.faces)))
        ):
            return False
        if any(_size(self.folder / (name + ending)) < size for ending, (size, _) in entry.files.items()):
            return False
        self._finished.add(file)
        return True

    def write(self, file: Path, image: Image, faces: Faces) -> None:
        """Write the results of one image.

        Args:
            file: The image file.
            image: Its pixels. Shape (H, W, 3).
            faces: Faces found in it.

        Raises:
            OutputError: a file cannot be written.
            InputError: the image is too large for an overlay, the system refuses the names of its results, or a
                symbolic link leads out of the folder.
        """
        pictures = pictures_of(file, image, faces, self.overlay, self.maps)
        self.keep(file, (image.shape[1], image.shape[0]), faces, pictures)

    def keep(self, file: Path, size: tuple[int, int], faces: Faces, pictures: Mapping[str, bytes]) -> None:
        """Write the results of one image whose pictures are drawn, perhaps in another process; errors as of `write`.

        Args:
            file: The image file.
            size: Its width and height in pixels.
            faces: Faces found in it.
            pictures: Content of its pictures by their endings (`pictures_of`).
        """
        shown, name = text_of(self._images[file]), self._names[file]
        place = (self.folder / name).parent
        if not self._is_inside(place):
            raise InputError(f"{file}: {place} leads out of {self.folder} by a symbolic link; remove the link")
        paths = {ending: self.folder / (name + ending) for ending in self._endings(len(faces))}
        records = faces_in(shown, size, faces)
        with _blame(file):
            for ending, path in paths.items():
                if ending in pictures:
                    with replace_whole(path, sync=False) as part:
                        part.write_bytes(pictures[ending])
                    continue
                some = records if ending == ".json" else [records[int(path.stem.rpartition("_")[2])]]
                with replace_whole(path, sync=False) as part:
                    FORMATS[path.suffix].dump(part, some)
        try:
            self._remove_stale(file, set(paths.values()))
            files = {ending: _mark(path) for ending, path in paths.items()}
        except OSError as error:
            raise OutputError(f"{place}: cannot be written to: {error.strerror or error}") from error
        label = text_of(Path(name))
        entry = Entry(shown, _stamp(file), self.settings, label, files, size, faces.scheme, packed(faces))
        self._journal.add(entry, list(paths.values()))
        self._finished.add(file)

    def _endings(self, faces: int) -> list[str]:
        """Endings of the results of an image with so many faces; first the pictures, which may fail."""
        shared = self._pictures() + [".json"] * ("json" in self.kinds)
        return shared + [f"_{face}.{kind}" for kind in PER_FACE if kind in self.kinds for face in range(faces)]

    def _pictures(self) -> list[str]:
        """Endings of the pictures of an image."""
        return [OVERLAY] * self.overlay + [MAPS] * (self.maps is not None)

    def _is_inside(self, place: Path) -> bool:
        """Whether a folder lies in that of the results when all symbolic links are resolved."""
        if place not in self._inside:
            if not Path(os.path.realpath(place)).is_relative_to(os.path.realpath(self.folder)):
                return False
            self._inside.add(place)
        return True

    def _remove_stale(self, file: Path, kept: Collection[Path]) -> None:
        """Remove what earlier runs wrote for an image, or under the name of its results, and nobody has changed.

        The journal, which may be forged, gives no paths: it says which of the possible names of this image the results
        had, and their endings.
        """
        names = {text_of(Path(name)): name for name in names_of(self._images[file])}
        owner = self._journal.owner(text_of(Path(self._names[file])))
        for entry in (owner, self._journal.entries.get(text_of(self._images[file]))):
            if entry is None or entry.name not in names:
                continue
            for ending, mark in entry.files.items():
                path = self.folder / (names[entry.name] + ending)
                if path in kept or not ENDING.fullmatch(ending) or not self._is_inside(path.parent):
                    continue
                if _size(path) == mark[0] and _mark(path) == mark:
                    path.unlink()


@contextmanager
def _blame(file: Path) -> Iterator[None]:
    """Makes an error of the system that the name of an image has caused an error of that image alone."""
    try:
        yield
    except OutputError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in NAMING:
            raise InputError(f"{file}: its results cannot have its name: {cause.strerror}; rename it") from error
        raise


def _size(path: Path) -> int:
    """Size of a file in bytes; -1 where there is no file, or only a link."""
    try:
        state = path.lstat()
    except OSError:
        return -1
    return state.st_size if S_ISREG(state.st_mode) else -1


def _mark(path: Path) -> tuple[int, int]:
    """Size and checksum of a file."""
    data = path.read_bytes()
    return len(data), crc32(data)


def _stamp(file: Path) -> tuple[int, int]:
    """Size and modification time of a file, which change when it does."""
    try:
        state = file.stat()
    except OSError:  # gone since it was read
        return -1, -1
    return state.st_size, state.st_mtime_ns


def records_of(entry: Entry) -> list[Record]:
    """The faces of an image as records of `formats`."""
    return faces_in(entry.image, entry.size, entry.faces)


def overlay_of(image: Image, faces: Faces) -> Image:
    """An image (H, W, 3) with the faces drawn onto it, enlarged where the image or the faces are small."""
    longer = max(image.shape[:2])
    zoom = -(-OVERLAY_SIDE // longer)
    if len(faces):
        side = float(np.median((faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1)))
        zoom = max(zoom, min(round(OVERLAY_FACE / side), OVERLAY_LIMIT // longer))
    return draw(image, faces, zoom=max(1, zoom))


def pictures_of(
    file: Path, image: Image, faces: Faces, overlay: bool, maps: Callable[[Image, Faces], Image] | None
) -> dict[str, bytes]:
    """The pictures of an image, as `ResultFolder` names and writes them.

    Args:
        file: The image file, for errors.
        image: Its pixels. Shape (H, W, 3).
        faces: Faces found in it.
        overlay: Whether the faces are drawn onto the image.
        maps: What draws the maps of the faces (`Aligner.sheet`); None = they are not drawn.

    Returns:
        Content of the files by their endings.

    Raises:
        InputError: the image is too large for an overlay.
    """
    pictures = {OVERLAY: jpeg_of(file, overlay_of(image, faces))} if overlay else {}
    if maps is not None:
        _, data = cv2.imencode(".png", cv2.cvtColor(maps(image, faces), cv2.COLOR_RGB2BGR))
        pictures[MAPS] = data.tobytes()
    return pictures


def jpeg_of(file: Path, image: Image) -> bytes:
    """Content of a JPEG file with an image (H, W, 3); errors name `file`.

    Raises:
        InputError: JPEG cannot hold an image of this size.
    """
    if max(image.shape[:2]) > 65500:
        raise InputError(f"{file}: {image.shape[1]} x {image.shape[0]} pixels do not fit into a JPEG; draw no overlays")
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
