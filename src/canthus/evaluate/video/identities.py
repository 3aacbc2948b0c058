"""Identities over time: whether a face keeps its number, and when it was lost and regained.

A switch is counted where a face that is seen again, or still, has another number than when it was last seen [Bernardin
and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics", 2008, mismatches].

Laws (tested): renaming the numbers changes nothing; a face that keeps its number has no switch; faces with numbers of
their own share none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.evaluate.detection import matched
from canthus.types import Faces

Array = NDArray[np.float64]

LEAST = 0.4
"""Least overlap of the boxes of a tracked face and a true one."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames in a row in which a face is in the picture and is not tracked.

    Attributes:
        face: Index of the true face.
        first: Its first frame, from 0.
        lost: Time of its first frame, seconds.
        regained: Time of the first frame with the face tracked again; None = it never was.
        kept: Whether the face had its old number then; None = it had none before, or was not regained.
    """

    face: int
    first: int
    lost: float
    regained: float | None
    kept: bool | None

    @property
    def seconds(self) -> float:
        """Time until the face was regained; infinite where it never was."""
        return float("inf") if self.regained is None else self.regained - self.lost


def identities(tracked: Sequence[Faces], truth: NDArray[Any], least: float = LEAST) -> Array:
    """The number that each true face has in each frame.

    Args:
        tracked: Faces of N frames, with their `identity`.
        truth: Boxes of T true faces, x0 y0 x1 y1; NaN = not in the picture. Shape (N, T, 4), pixels.
        least: Least overlap (intersection over union) of the boxes.

    Returns:
        NaN where a face is not tracked. Shape (N, T).

    Raises:
        ShapeError: the numbers of frames differ.
    """
    if len(tracked) != len(truth):
        raise ShapeError(f"{len(tracked)} tracked frames and {len(truth)} true ones are not the same video")
    numbers = np.full(truth.shape[:2], np.nan)
    for row, faces, boxes in zip(numbers, tracked, truth, strict=True):
        here = np.flatnonzero(np.isfinite(boxes).all(-1))
        chosen = matched(faces, boxes[here], least)
        row[here[chosen[chosen >= 0]]] = faces.identity[chosen >= 0]
    return numbers


def switches(numbers: NDArray[Any]) -> int:
    """How often a face has another number than when it was last seen. Numbers (N, T); NaN = not tracked."""
    return sum(int((np.diff(column[np.isfinite(column)]) != 0).sum()) for column in np.asarray(numbers).T)


def shared(numbers: NDArray[Any]) -> int:
    """How many numbers were given to more than one face. Numbers (N, T); NaN = not tracked."""
    every = [set(column[np.isfinite(column)].tolist()) for column in np.asarray(numbers, np.float64).T]
    return sum(sum(number in owned for owned in every) > 1 for number in set().union(*every))


def gaps(numbers: NDArray[Any], present: NDArray[Any], times: NDArray[Any]) -> list[Gap]:
    """When faces that are in the picture were not tracked, in order of time.

    Args:
        numbers: Number of each face in each frame; NaN = not tracked. Shape (N, T).
        present: Whether the face is in the picture. Shape (N, T).
        times: Time of each frame, seconds. Shape (N,).
    """
    found = []
    for face, (column, here) in enumerate(zip(np.asarray(numbers, np.float64).T, np.asarray(present).T, strict=True)):
        missed = here & ~np.isfinite(column)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], missed, [False]]).astype(int)))
        for first, end in edges.reshape(-1, 2).tolist():
            before = column[:first][np.isfinite(column[:first])]
            back = end < len(column) and bool(here[end])
            found.append(
                Gap(
                    face,
                    first,
                    float(times[first]),
                    float(times[end]) if back else None,
                    bool(before[-1] == column[end]) if back and len(before) else None,
                )
            )
    return sorted(found, key=lambda gap: (gap.first, gap.face))
