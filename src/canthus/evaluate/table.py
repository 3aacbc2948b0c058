"""Faces as arrays, loaded from files of points or from a data set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.data.sample import Sample
from canthus.errors import DataError, FormatError, InputError, SchemeError
from canthus.evaluate.cut import natural_cuts
from canthus.evaluate.result import Labels
from canthus.formats import mat, npz
from canthus.formats import table as formats
from canthus.formats.arrays import Arrays, checked
from canthus.formats.record import Record, visible_of
from canthus.geometry.crop import box_of
from canthus.schemes.scheme import Scheme
from canthus.types import Floats, Image


@dataclass(frozen=True, eq=False)
class Table:
    """Points of F faces, and what else is known of them.

    Attributes:
        points: Points; NaN = missing. Shape (F, P, 2 or 3), pixels.
        scheme: Name of the landmark scheme; empty = the file does not say.
        images: Name of each face's image; empty = the file does not say.
        identities: Person or source picture of each face; empty = not known.
        scores: Reliability of each point, 0..1. Shape (F, P).
        visible: Which points can be seen. Shape (F, P).
        yaw: Yaw of each head in degrees. Shape (F,).
        boxes: Boxes by name; "truth", where the points do not span the faces. Each (F, 4), pixels.
        picture: Function from the index of a face to its picture; None = there are no pictures.
    """

    points: Floats
    scheme: str = ""
    images: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    scores: Floats | None = None
    visible: NDArray[np.bool_] | None = None
    yaw: NDArray[np.float64] | None = None
    boxes: Mapping[str, Floats] = field(default_factory=dict)
    picture: Callable[[int], Image] | None = None

    def __len__(self) -> int:
        return len(self.points)

    def box(self, source: str) -> Floats:
        """The boxes of this name; "truth" = those of the faces, or else of the points. Shape (F, 4), pixels.

        Raises:
            DataError: these labels have no boxes of this name.
        """
        if source in self.boxes:
            return self.boxes[source]
        if source != "truth":
            known = ", ".join(("truth", *sorted(self.boxes.keys() - {"truth"})))
            raise DataError(f"these labels have no boxes {source!r}; choose one of {known} (--box-source)")
        return box_of(self.points)

    def labels(self, scheme: Scheme, boxes: str = "") -> Labels:
        """Labels for scoring, with the divisions into classes that the points allow.

        Args:
            scheme: Scheme of the points.
            boxes: Name of the boxes that a normaliser may measure; no boxes when the table has none of this name.
        """
        cuts = natural_cuts(self.points, scheme, self.yaw)
        return Labels(self.images, self.boxes.get(boxes), self.visible, self.yaw, cuts)


def load_table(path: Path, scheme: Scheme, origin: int = 0) -> Table:
    """Read the points of faces of one scheme.

    Args:
        path: A .npz or .mat file with an array `points` (F, P, 2 or 3), a .csv, .json, .ljson or .pts file, or a folder
            of .pts files.
        scheme: The expected scheme of the points.
        origin: Coordinates of the first pixel in the file, 0 or 1; .pts and .ljson files define their own.

    Raises:
        FormatError: the file is not in the format of its extension.
        InputError: the file cannot be read.
        SchemeError: the points are of another scheme.
    """
    ending = path.suffix.lower()
    table = _load(path, scheme)
    if table.scheme and not fits(table.scheme, scheme):
        raise SchemeError(
            f"{path}: holds points of scheme {table.scheme}, not {scheme.name}; convert them, or give --scheme"
        )
    if table.points.shape[1] != scheme.count:
        raise SchemeError(
            f"{path}: {table.points.shape[1]} points per face, but scheme {scheme.name} has {scheme.count}; "
            "name the scheme of your files with --scheme"
        )
    if origin and ending not in ("", ".pts", ".ljson"):
        shift = np.array([origin, origin, 0], np.float32)[: table.points.shape[2]]
        return replace(table, points=table.points - shift)
    return table


def table_of_samples(samples: Sequence[Sample], root: Path, scheme: Scheme) -> Table:
    """The labels of a data set.

    Args:
        samples: Faces of one scheme, or of the two halves of a profile scheme.
        root: Folder that the names of the images are relative to.
        scheme: Expected scheme of the points.

    Raises:
        DataError: there are no faces, or not all have points of the scheme.
    """
    if not samples:
        raise DataError("the set is empty: there is no face to score")
    faces = list(samples)
    other = sorted({sample.scheme for sample in faces if not fits(sample.scheme, scheme)})
    if other:
        raise DataError(f"the set holds faces of scheme {', '.join(other)} besides {scheme.name}; choose a part of it")
    if len(dims := {sample.points.shape for sample in faces}) > 1:
        raise DataError(f"the set holds faces with points of the shapes {sorted(dims)}; choose a part of it")
    sources = set.intersection(*(set(sample.boxes) for sample in faces))
    boxes = {source: np.stack([sample.boxes[source] for sample in faces]) for source in sorted(sources)}
    own = [sample.box for sample in faces]
    if _complete(own):  # the known points do not span these faces
        boxes["truth"] = np.stack([box for box in own if box is not None])
    poses = [sample.pose for sample in faces]
    visible = [sample.visible for sample in faces]
    return Table(
        points=np.stack([sample.points for sample in faces]),
        scheme=scheme.name,
        images=tuple(_name(sample.image, root) for sample in faces),
        identities=tuple(sample.identity for sample in faces),
        visible=np.stack([flags for flags in visible if flags is not None]) if _complete(visible) else None,
        yaw=np.array([pose[0] for pose in poses if pose is not None], np.float64) if _complete(poses) else None,
        boxes=boxes,
        picture=lambda index: faces[index].picture(),
    )


def fits(name: str, scheme: Scheme) -> bool:
    """Whether points of scheme `name` can be scored as `scheme`: the same, or its mirror with the same numbering."""
    return name == scheme.name or (
        name == scheme.mirror_scheme and bool((scheme.mirror == np.arange(scheme.count)).all())
    )


def _name(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _complete(values: Sequence[Any]) -> bool:
    return all(value is not None for value in values)


def _table_of(records: Sequence[Record], path: Path) -> Table:
    """Records as arrays, without those of images that show no face."""
    faces = [record for record in records if len(record.points)]
    if not faces:
        raise FormatError(f"{path}: holds no points")
    shapes = {record.points.shape for record in faces}
    schemes = {record.scheme for record in faces if record.scheme}
    if len(shapes) > 1 or len(schemes) > 1:
        raise FormatError(
            f"{path}: holds faces of several schemes, {sorted(schemes) or sorted(shapes)}; score each in its own file"
        )
    scores, poses = [record.scores for record in faces], [record.pose for record in faces]
    boxes = [record.box for record in faces]
    occluded = [record.occluded for record in faces]
    return Table(
        points=np.stack([record.points for record in faces]),
        scheme=next(iter(schemes), ""),
        images=tuple(record.image for record in faces) if all(record.image for record in faces) else (),
        identities=tuple(record.identity for record in faces) if all(record.identity for record in faces) else (),
        scores=np.stack([row for row in scores if row is not None]) if _complete(scores) else None,
        visible=visible_of(np.stack([row for row in occluded if row is not None])) if _complete(occluded) else None,
        yaw=np.array([pose[0] for pose in poses if pose is not None], np.float64) if _complete(poses) else None,
        boxes={"set": np.stack([box for box in boxes if box is not None])} if _complete(boxes) else {},
    )


def _load(path: Path, scheme: Scheme) -> Table:
    try:
        if path.suffix.lower() == ".npz":
            return _of_arrays(npz.read_arrays(path), path)
        if path.suffix.lower() == ".mat":
            return _load_mat(path, scheme)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _table_of(formats.load(path), path)


def _load_mat(path: Path, scheme: Scheme) -> Table:
    """All arrays of a file in the form of canthus; of any other file the points only."""
    arrays = mat.read_arrays(path)
    points = arrays.get("points")
    if points is not None and points.ndim == 3 and points.shape[1] == scheme.count and points.shape[2] in (2, 3):
        return _of_arrays(arrays, path)
    return Table(mat.points_of(arrays, scheme.count, path))


def _of_arrays(arrays: Arrays, path: Path) -> Table:
    """The arrays of `formats` without a record for each face: 100,000 faces load in well under a second."""
    known = checked(arrays, path)
    return Table(
        points=known["points"],
        scheme=str(known.get("scheme", "")),
        images=tuple(known["images"].tolist()) if "images" in known else (),
        identities=tuple(known["identities"].tolist()) if "identities" in known else (),
        scores=known.get("scores"),
        visible=known["visible"] if "visible" in known else visible_of(known.get("occluded")),
        yaw=known["pose"][:, 0].astype(np.float64) if "pose" in known else None,
        boxes={"set": known["boxes"]} if "boxes" in known else {},
    )
