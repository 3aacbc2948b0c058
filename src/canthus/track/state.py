"""The life of a tracked face as a state machine.

    NEW ------> TRACKED <----> UNCERTAIN ----> LOST ----> FOUND ----> TRACKED
     |                             ^            |           |
     v                             |            v           v
    ENDED                        FOUND        ENDED     UNCERTAIN

A face is new until it has been seen in `confirm` frames, uncertain when a fit fails, lost when fits have failed for
`patience` seconds or a scene ends, and found again when a detection fits its place, size and shape within `memory`
seconds; then it has its old identity. `advance` holds all rules; every change has a reason in words.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from canthus.types import Floats


class State(StrEnum):
    """State of a tracked face."""

    NEW = "new"
    TRACKED = "tracked"
    UNCERTAIN = "uncertain"
    LOST = "lost"
    FOUND = "found again"
    ENDED = "ended"


SEEN = (State.NEW, State.TRACKED, State.UNCERTAIN, State.FOUND)
"""States in which a face is fitted in each frame and reported."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a fit counts as failed, and how long a face stays in a state.

    Attributes:
        face_score: Least probability that the crop around the points shows a face (multi_view: the third stage of the
            detector judges a fit).
        reliability: Least mean reliability of the points.
        jump: Largest distance that the middle of a face moves from one frame to the next, over its size.
        growth: Largest factor by which its size changes from one frame to the next.
        confirm: Number of frames in which a new face is fitted before it is tracked.
        patience: Time after which an uncertain face is lost, seconds.
        memory: Time within which a lost face gets its identity back, seconds.
    """

    face_score: float = 0.5
    reliability: float = 0.25
    jump: float = 0.5
    growth: float = 1.35
    confirm: int = 3
    patience: float = 0.25
    memory: float = 5.0

    def sound(self, face_score: float, scores: Floats) -> bool:
        """Whether a fit with this face score and these reliabilities (P,), NaN = not known, is one of a face."""
        return face_score >= self.face_score and float(np.nan_to_num(scores, nan=1.0).mean()) >= self.reliability


@dataclass(frozen=True, slots=True)
class Event:
    """A change of the state of a face.

    Attributes:
        frame: Number of the frame, from 0.
        time: Time of the frame in seconds.
        identity: Number of the face.
        before: State before; of a face that was not there, ended.
        after: State after.
        reason: Why it changed, in words.
    """

    frame: int
    time: float
    identity: int
    before: State
    after: State
    reason: str

    def __str__(self) -> str:
        """One line of a log."""
        change = self.after if self.before is State.ENDED else f"{self.before} -> {self.after}"
        return f"frame {self.frame}, {self.time:.2f} s: face {self.identity}: {change} ({self.reason})"


def advance(state: State, failure: str, frames: int, spent: float, rules: Rules) -> tuple[State, str]:
    """The next state of a face, and why; the same state and no reason where nothing changes.

    Args:
        state: State before this frame.
        failure: Why the fit in this frame failed, in words; empty = it did not. For a lost face: why it was not found.
        frames: Number of frames in this state, this one included.
        spent: Time in this state, seconds.
        rules: Limits.
    """
    if state is State.ENDED:
        return state, ""
    if state is State.LOST:
        if not failure:
            return State.FOUND, "a detection fits its place, size and shape"
        return (State.ENDED, f"not found for {spent:.1f} s") if spent > rules.memory else (state, "")
    if failure:
        if state is State.NEW:
            return State.ENDED, failure
        if state is State.UNCERTAIN:
            return (State.LOST, f"{failure}, for {spent:.2f} s") if spent >= rules.patience else (state, "")
        return State.UNCERTAIN, failure
    if state is State.NEW:
        return (State.TRACKED, f"fitted in {frames} frames") if frames >= rules.confirm else (state, "")
    if state is State.UNCERTAIN:
        return State.TRACKED, "fitted again"
    if state is State.FOUND:
        return State.TRACKED, "fitted in the next frame"
    return state, ""
