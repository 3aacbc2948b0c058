"""Fits the points of faces in a frame: those that a detector has found, and those of the frame before.

Two-model tracking is that of [Xiong, Li and Sun, "Combining Local and Global Features for 3D Face Tracking", 2017],
section 3.4: one model starts a face from 2D points, the other follows it from the points of the frame before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from canthus.align.estimate import Estimate
from canthus.align.stage import System
from canthus.align.view import View
from canthus.detect.score import FaceScorer
from canthus.errors import ShapeError
from canthus.geometry.crop import box_of
from canthus.geometry.transform import fit_similarity
from canthus.schemes.transfer import convert
from canthus.track.motion import Placement
from canthus.types import Floats, Image


@dataclass(frozen=True, eq=False, slots=True)
class Fit:
    """One face as fitted in a frame.

    Attributes:
        points: Shape (P, 2 or 3), pixels.
        scores: Reliability of each point; NaN = not known. Shape (P,).
        pose: Yaw, pitch, roll in degrees; NaN = not known. Shape (3,).
        face_score: Probability that the crop around the points shows a face.
        placement: Place, size and rotation.
    """

    points: Floats
    scores: Floats
    pose: Floats
    face_score: float
    placement: Placement


class Fitter:
    """Fits faces with one, two or three models.

    Attributes:
        scheme: Scheme of the points.
    """

    def __init__(
        self,
        first: System,
        scorer: FaceScorer,
        start: System | None = None,
        follow: System | None = None,
        passes: int = 2,
    ) -> None:
        """Join the models.

        Args:
            first: Finds the points of a face in a box.
            scorer: Judges crops.
            start: Finds the points of a new face, given those of `first`; None = they are used as they are.
            follow: Finds the points, given those of the frame before; None = `first` does, in the box of these points.
            passes: Number of passes of `first` over a new face; from the second on in the box of its points.

        Raises:
            ShapeError: `first` needs points to start from, or `start` and `follow` have different schemes.
        """
        if first.starts_from_points:
            raise ShapeError(
                f"the model of {first.name} cuts its crops by points and a mean shape: it cannot find a face in a box;"
                " give it as start or follow, beside a model whose crops are boxes"
            )
        self._follow = follow or first
        if start is not None and start.scheme != self._follow.scheme:
            raise ShapeError(
                f"the model that starts a face gives points of scheme {start.scheme}, the one that follows takes"
                f" {self._follow.scheme}; use two models of one scheme"
            )
        self._first, self._start, self._scorer, self._passes = first, start, scorer, passes
        self.scheme = self._follow.scheme

    def begin(self, image: Image, boxes: Floats, rolls: Floats) -> list[Fit]:
        """Fit faces in boxes (F, 4) with rotations (F,) in degrees; NaN = not known."""
        size, fits = self._first.batch, list[Fit]()
        for start in range(0, len(boxes), size):
            fits += self._begun(image, boxes[start : start + size], rolls[start : start + size])
        return fits

    def _begun(self, image: Image, boxes: Floats, rolls: Floats) -> list[Fit]:
        """Fit the faces of one batch in their boxes."""
        view = View.of_boxes([image] * len(boxes), boxes, rolls)
        found = self._first.run(view)
        turns = np.where(np.isfinite(found.pose[:, 2]), found.pose[:, 2], np.nan_to_num(rolls))
        for _ in range(self._passes - 1):
            view = _view(image, [Placement.of(*pair) for pair in zip(found.points, turns.tolist(), strict=True)])
            found = self._first.run(view)
        if self._start is not None or self._first.scheme != self.scheme:
            given = Estimate.of_points(convert(found.points, self._first.scheme, self.scheme).astype(np.float32))
            pose = found.pose
            found = (self._start or self._follow).run(view, given)
            found = Estimate(found.points, found.scores, np.where(np.isnan(found.pose), pose, found.pose))
        return self._judged(image, found, turns.tolist())

    def follow(self, image: Image, places: Sequence[Placement], points: Sequence[Floats]) -> list[Fit]:
        """Fit faces whose placement and points in the frame before are known."""
        if not places:
            return []
        view, before = _view(image, places), Estimate.of_points(np.stack(points))
        parts, size = [], self._follow.batch
        for start in range(0, len(places), size):
            some = slice(start, start + size)
            found = self._follow.run(view[some], before[some])
            turned = zip(places[some], points[some], found.points, strict=True)
            parts += self._judged(image, found, [place.roll + _turn(old, new) for place, old, new in turned])
        return parts

    def _judged(self, image: Image, found: Estimate, rolls: Sequence[float]) -> list[Fit]:
        """Fits with the face scores of the crops around their points; a rotation that is not known is the one given."""
        turns = [float(pose[2]) if np.isfinite(pose[2]) else roll for pose, roll in zip(found.pose, rolls, strict=True)]
        boxes = box_of(found.points)
        sound = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        marks = np.zeros(len(boxes), np.float32)
        if sound.any():
            marks[sound] = self._scorer.score(image, boxes[sound], np.array(turns, np.float32)[sound]).scores
        return [
            Fit(found.points[at], found.scores[at], found.pose[at], float(marks[at]), _placed(found.points[at], turn))
            for at, turn in enumerate(turns)
        ]


def _turn(before: Floats, now: Floats) -> float:
    """By how many degrees points (P, 2 or 3) have turned, clockwise on the screen."""
    if not (np.isfinite(before).all() and np.isfinite(now).all() and np.ptp(before[:, :2]) > 0):
        return 0.0
    moved = fit_similarity(before[:, :2], now[:, :2])
    return float(np.degrees(np.arctan2(moved[1, 0], moved[0, 0])))


def _placed(points: Floats, roll: float) -> Placement:
    return Placement.of(np.nan_to_num(points), roll)


def _view(image: Image, places: Sequence[Placement]) -> View:
    return View([image] * len(places), np.stack([place.frame for place in places]))
