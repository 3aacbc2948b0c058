"""The faces of one frame of a video, as tables hold them: a row of numbers for each face, and the names of the columns.

Law (tested): `faces_of(numbers_of(faces))` gives back the faces. Boxes are not stored: they are those of the points.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from canthus.errors import FormatError, ShapeError
from canthus.formats.record import POSE
from canthus.geometry.crop import box_of
from canthus.types import Faces, Floats

HEAD, TAIL = ("frame", "time", "track", "state"), "scheme"
"""Columns before and behind the numbers of a face."""
MOST = 2**24
"""Numbers of tracks lie below it: float32 holds them exactly."""


@dataclass(frozen=True, eq=False, slots=True)
class Moment:
    """The faces of one frame.

    Attributes:
        frame: Number of the frame, from 0.
        time: Time of the frame in seconds.
        faces: The faces that are seen, with their `identity`.
        states: State of each of them, in words.
    """

    frame: int
    time: float
    faces: Faces
    states: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.states) != len(self.faces):
            raise ShapeError(f"{len(self.faces)} faces need as many states, not {len(self.states)}")
        if np.isnan(self.faces.identity).any():
            raise ShapeError(f"frame {self.frame}: a face of a table of tracks needs its identity")


@dataclass(frozen=True, slots=True)
class Layout:
    """What all faces of a table have in common.

    Attributes:
        scheme: Name of the landmark scheme.
        points: Number of points.
        dims: Number of coordinates of a point: 2 or 3.
    """

    scheme: str
    points: int
    dims: int

    @classmethod
    def of(cls, moments: Iterable[Moment]) -> Self:
        """The layout of the faces of these frames; where there is no face, that of an empty `Faces`.

        Raises:
            ShapeError: they differ.
        """
        found: dict[Self, None] = {}
        empty = cls("", 0, 2)
        for moment in moments:
            faces = moment.faces
            layout = cls(faces.scheme, *faces.points.shape[1:])
            empty = layout
            if len(faces):
                found[layout] = None
        if len(found) > 1:
            raise ShapeError(f"a table of tracks holds faces of one scheme and shape, not {[*found]}")
        return next(iter(found), empty)

    @property
    def numbers(self) -> list[str]:
        """Columns of the numbers of a face."""
        points = [f"{axis}{index}" for index in range(self.points) for axis in "xyz"[: self.dims]]
        return ["confidence", *POSE, *points, *(f"s{index}" for index in range(self.points))]

    @property
    def columns(self) -> list[str]:
        """All columns."""
        return [*HEAD, *self.numbers, TAIL]

    @classmethod
    def of_columns(cls, columns: Sequence[str], place: str) -> Self:
        """The layout of a table with these columns and no scheme; its errors name `place`.

        Raises:
            FormatError: the columns are not those of a table of tracks.
        """
        count = sum(name[:1] == "x" and name[1:].isdigit() for name in columns)
        layout = cls("", count, 3 if "z0" in columns else 2)
        if [*columns] != layout.columns:
            first = next(
                (name for name, given in zip(layout.columns, columns, strict=False) if name != given),
                layout.columns[-1],
            )
            raise FormatError(
                f"{place}: not a table of tracks: the column {first!r} is missing or not in its place; the columns are"
                " frame,time,track,state,confidence,yaw,pitch,roll,x0,y0,...,s0,...,scheme"
            )
        return layout

    def numbers_of(self, faces: Faces) -> Floats:
        """Faces (F) as rows of numbers, shape (F, C).

        Raises:
            ShapeError: they have another layout.
        """
        if not len(faces):
            return np.zeros((0, len(self.numbers)), np.float32)
        if (faces.scheme, *faces.points.shape[1:]) != (self.scheme, self.points, self.dims):
            raise ShapeError(f"a table of tracks holds faces as {self}, not {faces!r}")
        flat = faces.points.reshape(len(faces), -1)
        return np.concatenate([faces.confidence[:, None], faces.pose, flat, faces.scores], 1)

    def faces_of(self, numbers: Any, tracks: Sequence[float], scheme: str, place: str) -> Faces:
        """Rows of numbers (F, C), with the number of the track of each, as faces; errors name `place`.

        Raises:
            FormatError: a value is infinite, no point of a face has a value, or a track is no number.
        """
        if wrong := [track for track in tracks if not 0 <= track < MOST or track % 1]:
            raise FormatError(f"{place}: {wrong[0]:g} is not the number of a track")
        with np.errstate(over="ignore"):
            values = np.asarray(numbers, np.float64).reshape(len(tracks), len(self.numbers)).astype(np.float32)
        if np.isinf(values).any():
            raise FormatError(f"{place}: a value is infinite; what is missing is empty")
        confidence, pose, flat, scores = np.split(values, [1, 4, 4 + self.points * self.dims], 1)
        points = flat.reshape(len(values), self.points, self.dims)
        if self.points == 0 or np.isnan(points).all(1).any():
            raise FormatError(f"{place}: no point of a face has a value; remove its row")
        return Faces(
            points,
            box_of(points),
            scores,
            confidence[:, 0],
            pose,
            scheme,
            identity=np.asarray(tracks, np.float32),
        )

    def empty(self, scheme: str) -> Faces:
        """No face, in this layout."""
        return Faces.empty(scheme, self.points, self.dims)


def in_order(moments: Iterable[Moment]) -> Iterator[Moment]:
    """The frames of a table, checked.

    Raises:
        ShapeError: a frame does not come after the one before.
    """
    before = -1
    for moment in moments:
        if moment.frame <= before:
            raise ShapeError(f"frame {moment.frame} stands after frame {before}")
        before = moment.frame
        yield moment
