"""What a tracker says of one frame, and its smoothing when all frames are known."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from canthus.geometry.crop import box_of
from canthus.track.smooth import Smoothing, smooth_both_ways
from canthus.track.state import Event, State
from canthus.types import Faces, Floats


class Step(NamedTuple):
    """What happened in one frame.

    Attributes:
        faces: The faces that are seen, with their `identity`, in the order of their identities.
        states: State of each of them.
        events: All changes of states in this frame, of lost faces, too.
        time: Time of the frame in seconds.
    """

    faces: Faces
    states: tuple[State, ...]
    events: tuple[Event, ...]
    time: float


def smooth_steps(steps: Sequence[Step], smoothing: Smoothing | None = None) -> list[Step]:
    """The steps of a whole video, not smoothed so far, with points smoothed both ways; uncertain ones stay.

    Args:
        steps: The steps in order.
        smoothing: Cutoffs; None = the usual ones of the scheme of the points.
    """
    rows: dict[float, list[tuple[int, int]]] = {}
    for at, step in enumerate(steps):
        for row, state in enumerate(step.states):
            if state is not State.UNCERTAIN:
                rows.setdefault(float(step.faces.identity[row]), []).append((at, row))
    scheme = next((step.faces.scheme for step in steps if len(step.faces)), "")
    smoothing = smoothing or (Smoothing.of(scheme) if scheme else None)
    points: list[Floats] = [step.faces.points.copy() for step in steps]
    for places in rows.values():
        smooth = smooth_both_ways(
            [steps[at].faces.points[row] for at, row in places],
            [steps[at].faces.scores[row] for at, row in places],
            [steps[at].time for at, _ in places],
            smoothing,
        )
        for (at, row), steady in zip(places, smooth, strict=True):
            points[at][row] = steady
    return [
        step._replace(faces=replace(step.faces, points=moved, boxes=box_of(moved))) if len(moved) else step
        for step, moved in zip(steps, points, strict=True)
    ]
