"""Plots as SVG text without scripts; their colours come from the style of the page, so they follow light and dark."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.evaluate.metrics import ced
from canthus.evaluate.reliability import Curve
from canthus.evaluate.result import Contour

WIDTH, HEIGHT = 520, 340
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 14, 46
RAMP = ((0x2F, 0x9E, 0x8F), (0xF0, 0xB4, 0x29), (0xD6, 0x45, 0x3D))
"""Colours (red, green, blue) of a small, a medium and a large error."""


class Frame:
    """Axes of a plot: the map from values to pixels, and ticks."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y

    def at(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Pixels (x, y) of values (x, y)."""
        across = LEFT + (np.asarray(x) - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (np.asarray(y) - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)
        return across, down

    def line(self, x: Any, y: Any, kind: str) -> str:
        """A polyline; `kind` is its class in the style sheet."""
        across, down = self.at(x, y)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
        return f'<polyline class="{kind}" points="{points}"/>'

    def draw(
        self, titles: tuple[str, str], ticks: tuple[Sequence[float], Sequence[float]], what: str, body: str
    ) -> str:
        """The whole plot: axes with their titles and ticks, then `body`; `what` describes it in words."""
        parts = []
        for value in ticks[1]:
            _, down = self.at(0, value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>')
            parts.append(f'<text class="tick" x="{LEFT - 8}" y="{down + 4:.1f}" text-anchor="end">{value:g}</text>')
        for value in ticks[0]:
            across, _ = self.at(value, 0)
            parts.append(
                f'<text class="tick" x="{across:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g}</text>'
            )
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(
            f'<text class="axis" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(titles[0])}</text>'
        )
        height = (TOP + HEIGHT - BOTTOM) / 2
        upright = f'transform="rotate(-90 13 {height})"'
        parts.append(
            f'<text class="axis" x="13" y="{height}" {upright} text-anchor="middle">{escape(titles[1])}</text>'
        )
        return svg(WIDTH, HEIGHT, what, "".join(parts) + body)


def svg(width: float, height: float, what: str, body: str) -> str:
    """An SVG picture with a description in words."""
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(what)}">{body}</svg>'


def ticks(top: float, count: int = 5) -> list[float]:
    """Round values from 0 to at most `top`, about `count` of them."""
    if not top > 0:
        return [0.0]
    step = 10 ** np.floor(np.log10(top / count))
    step *= next((factor for factor in (1, 2, 2.5, 5) if top / (step * factor) <= count), 10)
    return [float(round(index * step, 10)) for index in range(int(top / step + 1e-9) + 1)]


def ced_curve(errors: NDArray[Any], top: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points (x, y) of the cumulative error distribution from 0 to `top`: its steps, or 400 points if more."""
    inside = np.sort(errors[errors <= top])
    if len(inside) > 400:
        x = np.linspace(0, top, 401)
        return x, ced(errors, x)
    x = np.concatenate([[0], np.repeat(inside, 2), [top]])
    y = np.repeat(np.arange(len(inside) + 1) / len(errors), 2)
    return x, y


def plot_ced(curves: Sequence[NDArray[Any]], threshold: float) -> str:
    """Cumulative error distributions up to the threshold; the first is that of the subject.

    Args:
        curves: Errors of the faces for each system, fractions. Each (F,).
        threshold: Right end of the plot, a fraction.
    """
    frame = Frame((0, 100 * threshold), (0, 100))
    lines = []
    for index, errors in reversed(list(enumerate(curves))):
        x, y = ced_curve(errors, threshold)
        lines.append(frame.line(100 * x, 100 * y, f"curve c{index}"))
    titles = ("error, % of the normaliser", "faces with at most this error, %")
    return frame.draw(titles, (ticks(100 * threshold), ticks(100)), "Cumulative error distribution", "".join(lines))


def plot_mean_face(mean: NDArray[Any], error: NDArray[Any], names: Sequence[str], edges: Sequence[Any]) -> str:
    """The mean face; the larger the error of a point, the larger and redder its dot.

    Args:
        mean: Mean face, its larger side 1. Shape (P, 2).
        error: Error of each point, a fraction; NaN = not known. Shape (P,).
        names: Names of the points.
        edges: Pairs of points to join by a line.
    """
    size, margin = 400, 26
    low, span = mean.min(0), np.ptp(mean, axis=0)
    at = margin + (mean - low) / span.max() * (size - 2 * margin)
    at[:, 0] += (size - 2 * margin) * (1 - span[0] / span.max()) / 2
    lines = (np.concatenate([at[a], at[b]]) for a, b in edges)
    parts = [f'<line class="edge" x1="{x:.1f}" y1="{y:.1f}" x2="{u:.1f}" y2="{v:.1f}"/>' for x, y, u, v in lines]
    least, most = _range(error)
    for index in np.argsort(np.nan_to_num(-error, nan=1)):
        if np.isnan(error[index]):
            continue
        share = (error[index] - least) / max(most - least, 1e-12)
        title = f"{index} {names[index]}: {100 * error[index]:.2f} %"
        parts.append(
            f'<circle cx="{at[index, 0]:.1f}" cy="{at[index, 1]:.1f}" r="{3.5 + 6.5 * share:.1f}" '
            f'fill="{colour(share)}"><title>{escape(title)}</title></circle>'
        )
    height = 2 * margin + (size - 2 * margin) * span[1] / span.max()
    return svg(size, height, "Error of each point on the mean face", "".join(parts))


def ramp_of(error: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest error that `plot_mean_face` shows."""
    return _range(error)


def _range(error: NDArray[Any]) -> tuple[float, float]:
    return float(np.nanmin(error)), float(np.nanmax(error))


def colour(share: float) -> str:
    """Colour of the ramp at a share of its length, 0..1."""
    position = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    index = min(int(position), len(RAMP) - 2)
    mixed = (round(a + (b - a) * (position - index)) for a, b in zip(RAMP[index], RAMP[index + 1], strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def plot_contour(contour: Contour, names: Sequence[str]) -> str:
    """Error of each contour point along the contour and across it."""
    top = 100 * float(np.nanmax([contour.tangent, contour.normal])) * 1.08
    count = len(contour.tangent)
    frame = Frame((-0.5, count - 0.5), (0, top))
    parts = []
    for index in range(count):
        for offset, values, kind in ((-0.2, contour.tangent, "c0"), (0.2, contour.normal, "c1")):
            (x, y), (_, base) = frame.at(index + offset, 100 * values[index]), frame.at(0, 0)
            wide = 0.32 * (WIDTH - LEFT - RIGHT) / count
            title = f"{names[index]}: {100 * values[index]:.2f} %"
            parts.append(
                f'<rect class="bar {kind}" x="{x - wide / 2:.1f}" y="{y:.1f}" width="{wide:.1f}" '
                f'height="{max(base - y, 0):.1f}"><title>{escape(title)}</title></rect>'
            )
    step = max(1, round(count / 9))
    return frame.draw(
        ("point of the contour, from the subject's right", "error, %"),
        (list(range(0, count, step)), ticks(top)),
        "Error along and across the contour",
        "".join(parts),
    )


def plot_reliability(curve: Curve) -> str:
    """Share of points near their truth over the score; on the diagonal the scores are right."""
    frame = Frame((0, 1), (0, 1))
    filled = curve.counts > 0
    x, y = curve.claimed[filled], curve.true[filled]
    across, down = frame.at(x, y)
    most = curve.counts.max()
    dots = [
        f'<circle class="dot c0" cx="{a:.1f}" cy="{b:.1f}" r="{3 + 7 * np.sqrt(count / most):.1f}">'
        f"<title>{count} points: claimed {claim:.2f}, true {share:.2f}</title></circle>"
        for a, b, count, claim, share in zip(across, down, curve.counts[filled], x, y, strict=True)
    ]
    scale = [0, 0.25, 0.5, 0.75, 1]
    body = frame.line([0, 1], [0, 1], "diagonal") + frame.line(x, y, "curve c0") + "".join(dots)
    return frame.draw(("claimed score", "share of points that are near"), (scale, scale), "Reliability of scores", body)
