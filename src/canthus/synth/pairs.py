"""Pairs: the same faces in two schemes, which a transfer between them (`schemes.transfer`) is fitted to.

Each scheme of a pair is a `Side`: its points on the true jaw, or the contour where 2D annotation has it, on the outline
that is seen. docs/data-factory.md lists the arrays of the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError, InputError, SchemeError
from canthus.face3d.morphable import MorphableModel
from canthus.schemes.scheme import Scheme
from canthus.synth.faces import LabelledFaces
from canthus.work.arrays import load_arrays, save_arrays

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """The points of one scheme.

    Attributes:
        scheme: Name of the scheme.
        outline: The contour lies on the outline that is seen; False = on the true jaw.
    """

    scheme: str
    outline: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """A side from "81" or "81:outline".

        Raises:
            SchemeError: no such scheme, or something else after the colon.
        """
        scheme, _, contour = text.partition(":")
        Scheme.open(scheme)
        if contour not in ("", "outline"):
            raise SchemeError(f"{text!r}: the contour is the true jaw ({scheme}) or the outline ({scheme}:outline)")
        return cls(scheme, bool(contour))

    def __str__(self) -> str:
        return self.scheme + ":outline" * self.outline


@dataclass(frozen=True, eq=False)
class Pairs:
    """F faces in two schemes of P and Q points.

    Attributes:
        images: Name of each picture. Shape (F,).
        sources: Name of the photograph that the picture was made from. Shape (F,).
        identities: Person; empty = not known. Shape (F,).
        source: Points in the first scheme. Shape (F, P, 3), pixels.
        target: Points in the second scheme. Shape (F, Q, 3), pixels.
        source_visible: Which points of the first scheme, on the true jaw, are seen. Shape (F, P).
        target_visible: Which points of the second scheme, on the true jaw, are seen. Shape (F, Q).
        pose: Yaw, pitch, roll, degrees. Shape (F, 3).
        azimuth: Yaw about the axis of the head, degrees. Shape (F,).
        inter_ocular: Distance of the outer eye corners seen from the front, pixels. Shape (F,).
        sides: Text of the source's and the target's `Side`. Shape (2,).
    """

    images: NDArray[np.str_]
    sources: NDArray[np.str_]
    identities: NDArray[np.str_]
    source: Doubles
    target: Doubles
    source_visible: NDArray[np.bool_]
    target_visible: NDArray[np.bool_]
    pose: Doubles
    azimuth: Doubles
    inter_ocular: Doubles
    sides: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def of(self) -> tuple[Side, Side]:
        """The source and the target."""
        return Side.parse(str(self.sides[0])), Side.parse(str(self.sides[1]))


def make_pairs(
    faces: LabelledFaces, source: Side, target: Side, least: float = 0.0, model: MorphableModel | None = None
) -> Pairs:
    """The faces that have points in both schemes.

    Where a scheme describes one half of the face, only faces that show this half are used. Where an outline is wanted,
    faces beyond 60 degrees of azimuth are omitted, as they have none.

    Args:
        faces: A table of fits or a run.
        source: The first scheme, of P points.
        target: The second scheme, of Q points.
        least: Least azimuth of a face to either side, degrees.
        model: The face model; needed for outlines of a table.

    Raises:
        SchemeError: a scheme is not there.
        InputError: the model is needed, or is not that of the table.
        DataError: no face has both.
    """
    eyes = faces.points("68")[:, [36, 45]]
    points = [faces.outline(side.scheme, model) if side.outline else faces.points(side.scheme)
              for side in (source, target)]  # fmt: skip
    kept = np.abs(faces.azimuth) >= least
    for side, some in zip((source, target), points, strict=True):
        kept &= faces.half_seen(side.scheme) & np.isfinite(some).all((1, 2))
    if not kept.any():
        raise DataError(f"{faces.path}: no face has {source} and {target} at {least:g} degrees of azimuth or more")
    return Pairs(
        images=faces.columns["images"][kept],
        sources=faces.sources[kept],
        identities=faces.columns["identities"][kept],
        source=points[0][kept],
        target=points[1][kept],
        source_visible=faces.visible(source.scheme)[kept],
        target_visible=faces.visible(target.scheme)[kept],
        pose=faces.columns["pose"][kept].astype(np.float64),
        azimuth=faces.azimuth[kept],
        inter_ocular=np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=-1)[kept],
        sides=np.array([str(source), str(target)]),
    )


def join(parts: Sequence[Pairs]) -> Pairs:
    """The pairs of several sets, one after the other.

    Raises:
        DataError: they are not of the same schemes.
    """
    if len({tuple(part.sides) for part in parts}) != 1:
        raise DataError(f"only pairs of the same schemes can be joined, not of {[str(part.sides) for part in parts]}")
    columns = {name: [getattr(part, name) for part in parts] for name in _rows()}
    return Pairs(**{name: np.concatenate(values) for name, values in columns.items()}, sides=parts[0].sides)


def write_pairs(path: Path, pairs: Pairs) -> None:
    """Write an .npz with the attributes of `Pairs` as arrays, numbers as float32.

    Raises:
        OutputError: it cannot be written.
    """
    arrays = {name: getattr(pairs, name) for name in (*_rows(), "sides")}
    small = {name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in arrays.items()}
    save_arrays(path, small)


def read_pairs(path: Path) -> Pairs:
    """Read what `write_pairs` wrote.

    Raises:
        InputError: it is something else, or damaged.
    """
    remedy = "make it again: canthus synth pairs"
    names = (*_rows(), "sides")
    arrays = load_arrays(path, "no pairs of schemes", remedy, names)
    doubles = {name: value.astype(np.float64) for name, value in arrays.items() if value.dtype == np.float32}
    pairs = Pairs(**{name: (arrays | doubles)[name] for name in names})
    counts = [Scheme.open(side.scheme).count for side in pairs.of]
    if [pairs.source.shape, pairs.target.shape] != [(len(pairs), count, 3) for count in counts]:
        raise InputError(f"{path}: {pairs.source.shape} and {pairs.target.shape} are not {pairs.sides}; {remedy}")
    return pairs


def _rows() -> tuple[str, ...]:
    """The arrays of F rows."""
    return tuple(field.name for field in fields(Pairs) if field.name != "sides")
