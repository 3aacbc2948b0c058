"""One Euro filter of vectors that also continues their motion: smooth at rest, quick in motion, and without lag.

The cutoff that rises with the speed is that of [Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based
Low-pass Filter for Noisy Input in Interactive Systems", 2012]. A low-pass filter lags behind what moves; here the value
first goes on at its speed, as in double exponential smoothing [LaViola, "Double Exponential Smoothing: An Alternative
to Kalman Filter-Based Predictive Tracking", 2003], and is then drawn to the input.

Laws (tested): a constant input stays as it is; with an infinite cutoff the filter does nothing; with a trend of 1 it
does not lag behind uniform motion.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

SPEED_CUTOFF = 4.0
"""Cutoff frequency of the speed, Hz."""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """How strongly a signal is smoothed.

    Attributes:
        rest: Cutoff frequency at rest, Hz.
        slope: Hz that the cutoff rises by for each unit of speed, in units of the signal a second.
        trend: Share of the motion that goes on from one frame to the next, 0..1: 0 = a plain One Euro filter.
    """

    rest: float
    slope: float
    trend: float = 0.0


class OneEuro:
    """Filter of N vectors, each of which has one speed."""

    def __init__(self, cutoff: Cutoff) -> None:
        self.cutoff = cutoff
        self.value: Doubles | None = None
        self._speed: Doubles | None = None
        self._last: Doubles | None = None

    def __call__(
        self, signal: NDArray[Any], step: float, weights: NDArray[Any] | float = 1.0, unit: float = 1.0
    ) -> Doubles:
        """The smoothed signal.

        Args:
            signal: The vectors now. Shape (N, D).
            step: Time since the last call, seconds, > 0.
            weights: Factor of the cutoff of each vector: less than 1 = trusted less. Shape (N,).
            unit: What speeds are measured in, in units of the signal.

        Returns:
            Shape (N, D).
        """
        signal = np.asarray(signal, np.float64)
        if self.value is None or self._speed is None or self._last is None:
            self.value, self._speed, self._last = signal, np.zeros_like(signal), signal
            return signal
        expected = self.value + self.cutoff.trend * step * self._speed
        self._speed = self._speed + _share(SPEED_CUTOFF, step) * ((signal - self._last) / step - self._speed)
        self._last = signal
        cutoffs = weights * (self.cutoff.rest + self.cutoff.slope * np.linalg.norm(self._speed, axis=-1) / unit)
        self.value = expected + _share(cutoffs, step)[..., None] * (signal - expected)
        return self.value


def _share(cutoff: Any, step: float) -> Any:
    """Share of the new value in an exponential average with this cutoff, Hz."""
    return 1 / (1 + 1 / (2 * np.pi * np.maximum(cutoff, 1e-6) * step))
