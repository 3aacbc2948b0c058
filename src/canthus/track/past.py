"""What a face did in the last moments: where it goes on to, and how it looked before another face came near.

When one face passes before another, the points of the hidden one slide over to the other within a few frames. So the
newest sightings tell neither where the hidden face goes nor how it looks; those before them do.

Law (tested): a face that moves uniformly is where `ahead` expects it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.types import Floats

Doubles = NDArray[np.float64]

SPAN = 0.6
"""Time for which sightings are kept, seconds."""
NEWEST = 0.2
"""Time before the last sighting in which they count for nothing but themselves, seconds."""
AHEAD = 0.6
"""Longest time for which a face is expected to move on as before, seconds."""
ENOUGH = 3
"""Least number of sightings from which a motion is known."""


class Past:
    """The sightings of one face, in order of time."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, Doubles, Floats]] = []

    def add(self, time: float, centre: NDArray[Any], points: Floats) -> None:
        """Remember a sighting, and forget what is older than `SPAN`.

        Args:
            time: Time in seconds, later than in the last call.
            centre: Middle of the face. Shape (2,), pixels.
            points: Points of the face. Shape (P, 2 or 3), pixels.
        """
        self._seen.append((time, np.asarray(centre, np.float64), points))
        self._seen = [seen for seen in self._seen if time - seen[0] <= SPAN]

    def clear(self) -> None:
        """Forget everything, as after a gap."""
        self._seen.clear()

    def ahead(self, time: float) -> Doubles:
        """Where the middle of the face is expected at a time, by a straight line through the older sightings. (2,)."""
        older = self._older()
        if len(older) < ENOUGH:
            return self._seen[-1][1]
        times, places = np.array([seen[0] for seen in older]), np.stack([seen[1] for seen in older])
        middle = times.mean()
        pace = (times - middle) @ (places - places.mean(0)) / ((times - middle) ** 2).sum()
        expected: Doubles = places.mean(0) + pace * (min(time, self._seen[-1][0] + AHEAD) - middle)
        return expected

    @property
    def points(self) -> Floats:
        """The points of the newest of the older sightings, or else of the oldest of all. Shape (P, 2 or 3)."""
        return (self._older() or [self._seen[0]])[-1][2]

    def _older(self) -> list[tuple[float, Doubles, Floats]]:
        return [seen for seen in self._seen if seen[0] <= self._seen[-1][0] - NEWEST]
