"""The plot of the cumulative error distribution on the page: curves that are labelled at their ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import need
from canthus.evaluate.metrics import ced
from canthus.evaluate.report.plots import Line, Tick, points_of, ticks
from canthus.evaluate.report.study import Entry, percent

HEIGHT = 330
"""Height of the plot in CSS pixels; its width is that of the page."""
GAP = 20
"""Smallest distance of two labels in CSS pixels."""
UNITS = 1000
"""Side of the square, stretched over the plot, in which the curves are drawn."""


@dataclass(frozen=True, slots=True)
class End:
    """Label at the right end of a curve.

    Attributes:
        number: Number of the curve; 0 = the subject.
        name: Name of the system.
        value: AUC of the system, in %.
        end: Height of the end of the curve, CSS pixels from the top.
        label: Height of the middle of the label, CSS pixels from the top.
    """

    number: int
    name: str
    value: str
    end: float
    label: float


@dataclass(frozen=True, slots=True)
class CedPlot:
    """A plot of cumulative error distributions.

    Attributes:
        height: Height in CSS pixels.
        units: Side of the square in which the curves are drawn.
        x: Ticks of the error, in % of the width.
        y: Ticks of the share of faces, in % of the height from the top.
        lines: The curves, the subject last.
        ends: Labels of the curves, from the top.
    """

    height: int
    units: int
    x: list[Tick]
    y: list[Tick]
    lines: list[Line]
    ends: list[End]


def ced_curve(errors: NDArray[Any], top: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points (x, y) of the cumulative error distribution from 0 to `top`: its steps, or 400 points if more."""
    inside = np.sort(errors[errors <= top])
    if len(inside) > 400:
        x = np.linspace(0, top, 401)
        return x, ced(errors, x)
    x = np.concatenate([[0], np.repeat(inside, 2), [top]])
    y = np.repeat(np.arange(len(inside) + 1) / len(errors), 2)
    return x, y


def plot_ced(entries: Sequence[Entry], threshold: float) -> CedPlot:
    """Cumulative error distributions up to the threshold.

    Args:
        entries: The subject, then other systems.
        threshold: Right end of the plot, a fraction.
    """
    lines, ends = [], []
    for number, entry in enumerate(entries):
        x, y = ced_curve(entry.result.errors, threshold)
        lines.append(Line(f"curve c{number}", points_of(UNITS * x / threshold, UNITS * (1 - y))))
        ends.append(float(1 - y[-1]) * HEIGHT)
    order = sorted(range(len(entries)), key=lambda number: (ends[number], -entries[number].result.auc))
    places = spread([ends[number] for number in order], GAP, GAP / 2, HEIGHT - GAP / 2)
    labels = [
        End(number, entries[number].label, percent(entries[number].result.auc, 1), round(ends[number], 1), place)
        for number, place in zip(order, places, strict=True)
    ]
    x_ticks = [Tick(round(100 * value / (100 * threshold), 2), f"{value:g}") for value in ticks(100 * threshold)]
    y_ticks = [Tick(100 - value, f"{value:g}") for value in ticks(100)]
    return CedPlot(HEIGHT, UNITS, x_ticks, y_ticks, lines[::-1], labels)


def spread(targets: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions of labels as near as possible to their targets (least squares) that do not overlap.

    Args:
        targets: Wanted positions, ascending.
        gap: Smallest distance of two neighbours; smaller if they do not fit otherwise.
        low: Smallest position.
        high: Largest position.

    Raises:
        ExtraMissingError: SciPy is not installed.
    """
    try:
        from scipy.optimize import isotonic_regression
    except ImportError as error:
        raise need("report") from error
    offsets = min(gap, (high - low) / max(len(targets) - 1, 1)) * np.arange(len(targets))
    ordered = isotonic_regression(np.asarray(targets, np.float64) - offsets).x
    placed = np.clip(ordered, low, high - offsets[-1]) + offsets
    return [round(float(place), 1) for place in placed]
