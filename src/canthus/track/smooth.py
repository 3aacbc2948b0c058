"""Smoothing of the points of one face over time, without visible lag.

The points are split into a similarity, which places a reference shape of the face in the picture, and the shape that
remains. Each part has a One Euro filter: the similarity is known precisely, as it rests on all points, and needs little
smoothing; each point of the shape moves little, except for eyelids and lips, whose speed opens the filter, and which
are smoothed less (`Smoothing.of`). Points of low reliability are trusted less, in the similarity as in the shape.

Law (tested): points that stand still stay where they are, whatever the reference shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import unit_mean
from canthus.geometry.transform import apply, fit_similarity, invert, similarity
from canthus.schemes.scheme import Scheme
from canthus.track.filters import Cutoff, OneEuro
from canthus.track.motion import wrapped
from canthus.types import Floats

Doubles = NDArray[np.float64]

PLACE, SCALE, ANGLE = Cutoff(2.5, 8.0, 0.8), Cutoff(1.0, 12.0, 0.8), Cutoff(1.0, 12.0, 0.8)
SHAPE = Cutoff(6.0, 36.0, 0.5)
"""Usual cutoffs of the position, the logarithm of the size, the rotation in radians, and the points in the frame of the
face; speeds are in sizes of the face a second. Chosen on the even sequences of the data factory
(`benchmarks/video_tracking.py`)."""
LIVELY = {"eye_right": 1.5, "eye_left": 1.5, "mouth": 1.0}
"""Usual factor of the cutoff of groups of points that move quickly in the frame of the face: blinks are quickest."""
CALM = 1 / 3
"""Usual factor of the cutoff of all other points."""
LEAST = 0.1
"""Least weight of a point."""
GAP = 0.5
"""Time after which a face that was not seen starts anew, seconds."""


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How strongly the parts of the motion are smoothed; speeds are in sizes of the face a second.

    Attributes:
        place: Cutoff of the position.
        scale: Cutoff of the logarithm of the size.
        angle: Cutoff of the rotation, radians.
        shape: Cutoff of the points in the frame of the face.
        factors: Factor of that cutoff for each point; empty = 1. Length P.
    """

    place: Cutoff = PLACE
    scale: Cutoff = SCALE
    angle: Cutoff = ANGLE
    shape: Cutoff = SHAPE
    factors: tuple[float, ...] = ()

    @classmethod
    def of(cls, scheme: str) -> "Smoothing":
        """The usual smoothing of the points of a scheme: those of brows, nose and contour rest more than others."""
        known = Scheme.open(scheme)
        lively = {name: factor for name, factor in LIVELY.items() if name in known.groups}
        factors = dict.fromkeys(range(known.count), CALM if lively else 1.0)
        for name, factor in lively.items():
            factors |= dict.fromkeys(known.groups[name], factor)
        return cls(factors=tuple(factors.values()))


class PointSmoother:
    """Smooths the points of one face, frame by frame."""

    def __init__(self, smoothing: Smoothing | None = None) -> None:
        self._smoothing = smoothing or Smoothing()
        self._time = 0.0
        self._reference: Doubles | None = None

    def _restart(self, points: Doubles) -> None:
        settings = self._smoothing
        self._reference = np.asarray(unit_mean(points[None, :, :2]), np.float64)
        self._place, self._scale = OneEuro(settings.place), OneEuro(settings.scale)
        self._angle, self._shape = OneEuro(settings.angle), OneEuro(settings.shape)
        self._turn = 0.0

    def __call__(self, points: Floats, scores: Floats, time: float) -> Floats:
        """The smoothed points.

        Args:
            points: The points now, all finite. Shape (P, 2 or 3), pixels.
            scores: Their reliability; NaN = not known, taken as full. Shape (P,).
            time: Time in seconds, later than in the last call.

        Returns:
            Shape (P, 2 or 3), pixels.
        """
        exact = np.asarray(points, np.float64)
        step = time - self._time
        if self._reference is None or self._reference.shape[0] != len(exact) or not 0 < step < GAP:
            self._restart(exact)
        self._time = time
        assert self._reference is not None
        step = min(max(step, 1e-3), GAP)
        weights = np.clip(np.nan_to_num(scores, nan=1.0), LEAST, 1.0).astype(np.float64)
        placed = fit_similarity(self._reference, exact[:, :2], weights)
        size = float(np.hypot(placed[0, 0], placed[1, 0]))
        turn = float(np.degrees(np.arctan2(placed[1, 0], placed[0, 0])))
        self._turn += wrapped(turn - self._turn)  # so that it does not jump at 180 degrees
        shape = apply(invert(placed), exact)
        place = self._place(placed[None, :, 2], step, unit=size)[0]
        smooth_size = float(np.exp(self._scale(np.log([[size]]), step)[0, 0]))
        smooth_turn = float(np.degrees(self._angle(np.radians([[self._turn]]), step)[0, 0]))
        steady = self._shape(shape, step, weights * np.array(self._smoothing.factors or 1.0))
        moved = similarity(smooth_size, smooth_turn, (float(place[0]), float(place[1])))
        return apply(moved, steady).astype(np.float32)


def smooth_both_ways(
    points: Sequence[Floats], scores: Sequence[Floats], times: Sequence[float], smoothing: Smoothing | None = None
) -> list[Floats]:
    """The points of one face, smoothed when all frames are known: the mean of a pass forward and one backward.

    The lags of the two passes cancel.

    Args:
        points: The points of each frame, each (P, 2 or 3), pixels.
        scores: Their reliability, each (P,).
        times: Time of each frame in seconds, rising.
        smoothing: Cutoffs; None = the usual ones.
    """
    there, back = PointSmoother(smoothing), PointSmoother(smoothing)
    forward = [there(*row) for row in zip(points, scores, times, strict=True)]
    turned = zip(reversed(points), reversed(scores), (-time for time in reversed(times)), strict=True)
    backward = [back(*row) for row in turned]
    return [((one + two) / 2).astype(np.float32) for one, two in zip(forward, reversed(backward), strict=True)]
