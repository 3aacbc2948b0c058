"""Geometry of the plots on the page; templates draw them as SVG, whose colours follow light and dark."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.evaluate.reliability import Curve
from canthus.evaluate.result import Contour

WIDTH, HEIGHT = 520, 340
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 14, 46
STEPS = 10
"""Number of colours of the ramp from a small error to a large one: the classes r0 to r9 of the style sheet."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick of an axis: its position and its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline.

    Attributes:
        kind: Class in the style sheet.
        points: Coordinates, "x,y x,y".
    """

    kind: str
    points: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A disc with a title: its class in the style sheet, centre and radius."""

    kind: str
    x: float
    y: float
    radius: float
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """An upright bar with a title: its class in the style sheet, upper left corner and size."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with two axes, in pixels.

    Attributes:
        what: Description in words.
        titles: Titles of the axes (x, y).
        x: Ticks of the x axis.
        y: Ticks of the y axis.
        lines: Polylines, drawn first.
        bars: Bars.
        dots: Discs, drawn last.
        width: Width of the plot.
        height: Height of the plot.
        area: Left, top, right and bottom of the area inside the axes.
    """

    what: str
    titles: tuple[str, str]
    x: list[Tick]
    y: list[Tick]
    lines: list[Line] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT
    area: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


@dataclass(frozen=True, slots=True)
class FacePlot:
    """Errors on the mean face, in pixels.

    Attributes:
        width: Width of the plot.
        height: Height of the plot.
        edges: Lines between neighbouring points, the data of an SVG path.
        dots: The points, the largest error last.
        least: Smallest error, a fraction.
        most: Largest error, a fraction.
        steps: Number of colours of the ramp.
    """

    width: float
    height: float
    edges: str
    dots: list[Dot]
    least: float
    most: float
    steps: int = STEPS


class Frame:
    """Axes of a plot: the map from values to pixels, and ticks."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y

    def at(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Pixels (x, y) of values (x, y)."""
        across = LEFT + (np.asarray(x) - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (np.asarray(y) - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)
        return across, down

    def line(self, x: Any, y: Any, kind: str) -> Line:
        """A polyline through values (x, y)."""
        return Line(kind, points_of(*self.at(x, y)))

    def ticks(self, x: Iterable[float], y: Iterable[float]) -> tuple[list[Tick], list[Tick]]:
        """Ticks of both axes at these values."""
        across = [Tick(round(float(self.at(value, 0)[0]), 1), f"{value:g}") for value in x]
        return across, [Tick(round(float(self.at(0, value)[1]), 1), f"{value:g}") for value in y]


def points_of(x: Any, y: Any) -> str:
    """Coordinates as the text of an SVG attribute, to a tenth of a unit."""
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def ticks(top: float, count: int = 5) -> list[float]:
    """Round values from 0 to at most `top`, about `count` of them."""
    if not top > 0:
        return [0.0]
    step = 10 ** np.floor(np.log10(top / count))
    step *= next((factor for factor in (1, 2, 2.5, 5) if top / (step * factor) <= count), 10)
    return [float(round(index * step, 10)) for index in range(int(top / step + 1e-9) + 1)]


def step_of(share: float) -> int:
    """Colour of the ramp at a share of its length, 0..1."""
    return min(max(int(share * STEPS), 0), STEPS - 1)


def plot_mean_face(mean: NDArray[Any], error: NDArray[Any], names: Sequence[str], edges: Sequence[Any]) -> FacePlot:
    """The mean face; the larger the error of a point, the larger and the more salient its dot.

    Args:
        mean: Mean face, its larger side 1; NaN = never annotated, left out. Shape (P, 2).
        error: Error of each point, a fraction; NaN = not known. Shape (P,).
        names: Names of the points.
        edges: Pairs of points to join by a line.
    """
    size, margin = 400, 26
    low = np.nanmin(mean, axis=0)
    span = np.nanmax(mean, axis=0) - low
    at = margin + (mean - low) / span.max() * (size - 2 * margin)
    at[:, 0] += (size - 2 * margin) * (1 - span[0] / span.max()) / 2
    known = np.isfinite(at).all(1)
    path = "".join("M{:.1f} {:.1f}L{:.1f} {:.1f}".format(*at[a], *at[b]) for a, b in edges if known[a] and known[b])
    least, most = float(np.nanmin(error)), float(np.nanmax(error))
    dots = []
    for index in np.argsort(np.nan_to_num(error, nan=-1)):
        if known[index] and np.isfinite(error[index]):
            share = float(error[index] - least) / max(most - least, 1e-12)
            x, y = (round(float(value), 1) for value in at[index])
            title = f"{index} {names[index]}: {100 * error[index]:.2f} %"
            dots.append(Dot(f"r{step_of(share)}", x, y, round(3.5 + 6.5 * share, 1), title))
    height = 2 * margin + (size - 2 * margin) * span[1] / span.max()
    return FacePlot(size, round(float(height), 1), path, dots, least, most)


def plot_contour(contour: Contour, names: Sequence[str]) -> Plot:
    """Error of each contour point along the contour and across it."""
    top = 100 * float(np.nanmax([contour.tangent, contour.normal])) * 1.08 or 1.0
    count = len(contour.tangent)
    frame = Frame((-0.5, count - 0.5), (0, top))
    base, wide = HEIGHT - BOTTOM, 0.32 * (WIDTH - LEFT - RIGHT) / count
    bars = []
    for index, offset, values, kind in (
        (index, *part)
        for index in range(count)
        for part in ((-0.2, contour.tangent, "c0"), (0.2, contour.normal, "c1"))
        if np.isfinite(part[1][index])
    ):
        x, y = frame.at(index + offset, 100 * values[index])
        title = f"{names[index]}: {100 * values[index]:.2f} %"
        left, upper, high = (round(float(value), 1) for value in (x - wide / 2, y, max(base - y, 0)))
        bars.append(Bar(f"bar {kind}", left, upper, round(wide, 1), high, title))
    marks = frame.ticks(range(0, count, max(1, round(count / 9))), ticks(top))
    titles = ("point of the contour, from the subject's right", "error, %")
    return Plot("Error along and across the contour", titles, *marks, bars=bars)


def plot_reliability(curve: Curve) -> Plot:
    """Share of points near their truth over the score; on the diagonal the scores are right."""
    frame = Frame((0, 1), (0, 1))
    filled = curve.counts > 0
    x, y = curve.claimed[filled], curve.true[filled]
    across, down = frame.at(x, y)
    most = curve.counts.max()
    dots = [
        Dot(
            "dot c0",
            round(float(a), 1),
            round(float(b), 1),
            round(float(3 + 7 * np.sqrt(count / most)), 1),
            f"{count} points: claimed {claim:.2f}, true {share:.2f}",
        )
        for a, b, count, claim, share in zip(across, down, curve.counts[filled], x, y, strict=True)
    ]
    scale = [0, 0.25, 0.5, 0.75, 1]
    lines = [frame.line([0, 1], [0, 1], "diagonal"), frame.line(x, y, "curve c0")]
    titles = ("claimed score", "share of points that are near")
    return Plot("Reliability of scores", titles, *frame.ticks(scale, scale), lines=lines, dots=dots)
