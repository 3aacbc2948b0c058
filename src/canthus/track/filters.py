"""One Euro filter of vectors: smooth at rest, quick in motion.

[Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems", 2012]. Law (tested): a constant input stays as it is; with an infinite cutoff the filter does nothing.
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
    """

    rest: float
    slope: float


class OneEuro:
    """Filter of N vectors, each of which has one speed."""

    def __init__(self, cutoff: Cutoff) -> None:
        self.cutoff = cutoff
        self.value: Doubles | None = None
        self.speed: Doubles | None = None

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
        if self.value is None or self.speed is None:
            self.value, self.speed = signal, np.zeros_like(signal)
            return signal
        share = _share(SPEED_CUTOFF, step)
        self.speed = self.speed + share * ((signal - self.value) / step - self.speed)
        cutoffs = weights * (self.cutoff.rest + self.cutoff.slope * np.linalg.norm(self.speed, axis=-1) / unit)
        self.value = self.value + _share(cutoffs, step)[..., None] * (signal - self.value)
        return self.value


def _share(cutoff: Any, step: float) -> Any:
    """Share of the new value in an exponential average with this cutoff, Hz."""
    return 1 / (1 + 1 / (2 * np.pi * np.maximum(cutoff, 1e-6) * step))
