"""Lag of one signal behind another, in fractions of a frame, by their cross-correlation.

Laws (tested): a signal that is delayed has the lag of its delay; lag(a, b) = -lag(b, a); scales and offsets of the
signals change nothing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST = 8
"""Largest lag that is looked for, frames."""
LEAST = 3
"""Least number of frames that have a correlation."""


def lag(signal: NDArray[Any], reference: NDArray[Any], most: int = MOST) -> float:
    """By how many frames a signal comes later than its reference.

    The place of the highest correlation coefficient, between frames by the parabola through the coefficients around it.

    Args:
        signal: One or more channels over time; NaN = not known. Shape (N,) or (N, C).
        reference: The same channels. Shape (N,) or (N, C).
        most: Largest lag that is looked for, frames.

    Returns:
        Frames, negative where the signal comes earlier; NaN where a signal stands still, or where the correlation has
        no peak within the range.
    """
    values = correlations(signal, reference, most)
    if not np.isfinite(values).all():
        return float("nan")
    at = int(values.argmax())
    if at in (0, 2 * most):
        return float("nan")
    before, peak, after = values[at - 1 : at + 2].tolist()
    bend = before - 2 * peak + after
    return at - most + (0.5 * (before - after) / bend if bend < 0 else 0.0)


def correlations(signal: NDArray[Any], reference: NDArray[Any], most: int = MOST) -> Array:
    """Correlation coefficient of a signal with its reference shifted by -most to most frames; channels count together.

    Args:
        signal: Shape (N,) or (N, C); NaN = not known.
        reference: Shape (N,) or (N, C); NaN = not known.
        most: Largest shift, frames.

    Returns:
        -1..1; NaN where one of the two does not move. Shape (2 most + 1,).
    """
    one, two = np.asarray(signal, np.float64), np.asarray(reference, np.float64)
    count = len(one)
    found = np.full(2 * most + 1, np.nan)
    for shift in range(-most, most + 1):
        late = one[max(shift, 0) : count + min(shift, 0)]
        early = two[max(-shift, 0) : count + min(-shift, 0)]
        found[shift + most] = correlation(late, early)
    return found


def correlation(one: NDArray[Any], two: NDArray[Any]) -> float:
    """Correlation coefficient of two signals (N,) or (N, C), channels together; frames with NaN are left out.

    Returns:
        -1..1; NaN where one of the two does not move.
    """
    if len(one) < LEAST:
        return float("nan")
    first, second = (np.asarray(values, np.float64).reshape(len(values), -1) for values in (one, two))
    known = np.isfinite(first).all(1) & np.isfinite(second).all(1)
    if known.sum() < LEAST:
        return float("nan")
    first, second = (values[known] - values[known].mean(0) for values in (first, second))
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / scale) if scale > 0 else float("nan")
