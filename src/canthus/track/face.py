"""One tracked face: its state, its smoothed motion, and the judgement of a fit."""

from typing import Any

import numpy as np

from canthus.track.fitter import Fit
from canthus.track.match import OTHER_SCENE, SAME_SCENE, Known, strangeness
from canthus.track.motion import Placement, wrapped
from canthus.track.past import Past
from canthus.track.smooth import PointSmoother, Smoothing
from canthus.track.state import SEEN, Event, Rules, State, advance
from canthus.types import Floats

OUTSIDE = 0.5
"""A face has left the picture when more than this share of its points lies outside."""
SMALLEST = 8.0
"""Size below which a face is no longer fitted, pixels."""
ROLL_GAIN = 0.3
"""Share of a detector's rotation that a face takes on whose model reports none."""


class TrackedFace:
    """A face in a video.

    Attributes:
        identity: Its number, from 1.
        state: Its state.
        fit: The last fit that did not fail.
        steady: The smoothed points of that fit. Shape (P, 2 or 3).
        place: Placement of the smoothed points, from which the next crop is cut.
        scene: What the picture showed when a cut took the face away (`cuts.CutFinder`); None = it is in this scene.
        events: Changes of its state since they were last taken.
    """

    def __init__(self, identity: int, fit: Fit, rules: Rules, smoothing: Smoothing, now: tuple[int, float]) -> None:
        """A new face.

        Args:
            identity: Its number.
            fit: Its fit in this frame.
            rules: When a fit counts as failed.
            smoothing: Cutoffs of the smoothing.
            now: Number and time of this frame.
        """
        self.identity, self.state, self.events = identity, State.NEW, list[Event]()
        self._rules, self._smoother = rules, PointSmoother(smoothing)
        self._since, self._frames, self._seen = now[1], 1, now[1]
        self.shown, self._past = fit, Past()
        self.scene: Floats | None = None
        self._take(fit, now[1])
        self._log(State.ENDED, State.NEW, f"detected, face score {fit.face_score:.2f}", now)

    @property
    def visible(self) -> bool:
        """Whether it is fitted in each frame and reported."""
        return self.state in SEEN

    def known(self, time: float) -> Known:
        """The face as it was last seen, at a later time."""
        limits = SAME_SCENE if self.scene is None else OTHER_SCENE
        return Known(self.place, self._past.ahead(time), self._past.points, time - self._seen, limits)

    @property
    def strangeness(self) -> float:
        """How far its last fit is from what its motion and shape before let expect."""
        return strangeness(self.known(self._seen), self.fit.placement, self.fit.points)

    def _take(self, fit: Fit, time: float) -> None:
        self.fit = self.shown = fit
        self.steady = self._smoother(fit.points, fit.scores, time)
        self.place = Placement.of(self.steady, fit.placement.roll)
        self._seen = time
        self._past.add(time, self.place.centre, self.steady)

    def failure(self, fit: Fit, size: tuple[int, int]) -> str:
        """Why a fit in the next frame counts as failed, in words; empty = it does not.

        Args:
            fit: The fit.
            size: Width and height of the picture.
        """
        rules, plane = self._rules, fit.points[:, :2]
        if not np.isfinite(plane).all():
            return "points without a value"
        outside = ((plane < -0.5) | (plane > np.array(size) - 0.5)).any(1).mean()
        if outside > OUTSIDE:
            return "left the picture"
        if not SMALLEST <= fit.placement.size <= 2 * max(size):
            return f"its size is {fit.placement.size:.0f} pixels"
        if fit.face_score < rules.face_score:
            return f"face score {fit.face_score:.2f} is below {rules.face_score:g}"
        if (mean := float(np.nan_to_num(fit.scores, nan=1.0).mean())) < rules.reliability:
            return f"mean reliability {mean:.2f} is below {rules.reliability:g}"
        if (jump := float(np.hypot(*(fit.placement.centre - self.place.centre))) / self.place.size) > rules.jump:
            return f"jumped by {jump:.2f} of its size"
        growth = max(fit.placement.size / self.place.size, self.place.size / fit.placement.size)
        return f"its size changed by the factor {growth:.2f}" if growth > rules.growth else ""

    def step(self, fit: Fit | None, failure: str, now: tuple[int, float]) -> None:
        """Go on by one frame.

        Args:
            fit: The fit in this frame; None = there is none, as for a lost face.
            failure: Why it failed; empty = it did not.
            now: Number and time of the frame.
        """
        self._frames += 1
        if fit is not None:
            self.shown = fit
            if not failure:
                self._take(fit, now[1])
        state, reason = advance(self.state, failure, self._frames, now[1] - self._since, self._rules)
        self._enter(state, reason, now)

    def lose(self, reason: str, now: tuple[int, float]) -> None:
        """Lose the face at once, as where another face has its points; one that is new ends."""
        self._enter(State.ENDED if self.state is State.NEW else State.LOST, reason, now)

    def cut(self, scene: Floats, now: tuple[int, float]) -> None:
        """Lose the face, unless it is, by a cut that ends a scene; it is not found before the scene is shown again."""
        self.scene = scene if self.scene is None else self.scene
        if self.visible:
            self.lose("a cut", now)

    def find(self, fit: Fit, now: tuple[int, float]) -> None:
        """Find the lost face again in a fit of this frame."""
        away = now[1] - self._seen
        self._past.clear()
        self._take(fit, now[1])
        state, reason = advance(self.state, "", self._frames, now[1] - self._since, self._rules)
        self._enter(state, f"{reason}, after {away:.2f} s", now)
        self.scene = None

    def move(self, scale: tuple[float, float]) -> None:
        """Adapt to another size of the picture: factors of x and y."""
        factor = float(np.sqrt(scale[0] * scale[1]))
        size = np.array([*scale, factor][: self.steady.shape[1]], np.float32)
        self.steady = self.steady * size
        self.place = Placement.of(self.steady, self.place.roll)

    def turn(self, roll: float) -> None:
        """Take note of the rotation that a detector has seen, where the model reports none."""
        if np.isfinite(roll) and not np.isfinite(self.fit.pose[2]):
            self.place = Placement.of(self.steady, self.place.roll + ROLL_GAIN * wrapped(roll - self.place.roll))

    def reported(self, smooth: bool) -> dict[str, Any]:
        """The face in this frame, as rows of `Faces`: of an uncertain one the points of this frame as fitted."""
        fit = self.shown
        taken = fit is self.fit or not np.isfinite(fit.points).all()
        points: Floats = self.steady if taken and (smooth or fit is not self.fit) else fit.points
        return {
            "points": points,
            "scores": fit.scores,
            "pose": fit.pose,
            "confidence": np.float32(fit.face_score),
            "identity": np.float32(self.identity),
        }

    def _enter(self, state: State, reason: str, now: tuple[int, float]) -> None:
        if state is not self.state:
            self._log(self.state, state, reason, now)
            self.state, self._since, self._frames = state, now[1], 1

    def _log(self, before: State, after: State, reason: str, now: tuple[int, float]) -> None:
        self.events.append(Event(now[0], now[1], self.identity, before, after, reason))
