"""Labels with less noise: each point a blend of its label, the fitted face model and the prediction of a network.

A network trained on well-labelled pictures has its own manner of placing points. The manner is told from the noise as a
constant offset of each point in the axes of the face, which one of the two sides gives up. Which weights are best is
found where the truth is known: on good labels that are made as bad as those to be cleaned.

Laws (tested): with all weight on the label nothing moves; blending, frames, offsets and limits commute with mirroring
and with similarities of the plane.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.shape import mean_shape
from canthus.geometry.transform import apply, fit_similarity, scale_of, similarity
from canthus.schemes.scheme import Scheme

Doubles = NDArray[np.float64]
Weights = Mapping[str, tuple[float, float, float]]
"""Weights of label, fit and net by group of the scheme; where groups share a point the later one counts."""
Style = Literal["labels", "net"]
"""Whose manner of placing points the result has."""

SOURCES = ("label", "fit", "net")
SPOILT = 0.25
"""A face of which a larger share of the points would move beyond the limit is not to be used."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """Where the points of F faces are, by three sources; pixels.

    Attributes:
        label: NaN = not annotated. Shape (F, P, 2).
        fit: NaN = not fitted. Shape (F, P, 2).
        net: NaN = no network. Shape (F, P, 2).
    """

    label: Doubles
    fit: Doubles
    net: Doubles

    def __post_init__(self) -> None:
        for name in SOURCES:
            points = np.asarray(getattr(self, name), np.float64)
            object.__setattr__(self, name, points)
            if points.ndim != 3 or points.shape != self.label.shape or points.shape[2] != 2:
                raise ShapeError(f"labels {self.label.shape} and {name} {points.shape} are not the same (F, P, 2)")

    def stacked(self) -> Doubles:
        """All in the order of `SOURCES`. Shape (3, F, P, 2)."""
        return np.stack([self.label, self.fit, self.net])


def point_weights(weights: Weights, scheme: Scheme) -> Doubles:
    """The weights of every point. Shape (P, 3).

    Raises:
        ShapeError: an unknown group, weights that are negative or do not add up to 1, or a point without weights.
    """
    table = np.full((scheme.count, len(SOURCES)), np.nan)
    for group, shares in weights.items():
        if group not in scheme.groups:
            raise ShapeError(f"scheme {scheme.name} has no group {group!r}; it has {', '.join(scheme.groups)}")
        if len(shares) != len(SOURCES) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise ShapeError(f"weights of {group}: label, fit and net are >= 0 and add up to 1, not {shares}")
        table[list(scheme.groups[group])] = shares
    if np.isnan(table).any():
        point = scheme.names[int(np.isnan(table).any(1).argmax())]
        raise ShapeError(f"the point {point} has no weights; give them for contour and inner")
    return table


def blend(estimates: Estimates, weights: Doubles) -> Doubles:
    """Weighted means.

    Args:
        estimates: Of F faces.
        weights: Of each point for `SOURCES`. Shape (P, 3).

    Returns:
        Shape (F, P, 2); NaN where the label is, or a source that has weight.
    """
    every = estimates.stacked()
    used = np.moveaxis(weights, -1, 0)[:, None, :, None]
    mixed: Doubles = (np.where(used > 0, every, 0) * used).sum(0)
    return np.where(np.isnan(estimates.label), np.nan, mixed)


def frames(points: NDArray[Any], unit: Doubles, scheme: Scheme) -> Doubles:
    """The axes of each face: turned as the symmetric mean of the faces is to its inner points.

    Args:
        points: Shape (F, P, 2); NaN has no weight.
        unit: Length of the axes, the inter-ocular distance. Shape (F,), pixels.
        scheme: Of the points.

    Returns:
        From the axes of a face to pixels. Shape (F, 2, 2).
    """
    points = np.asarray(points, np.float64)
    mean = symmetric(_upright(mean_shape(points), scheme), scheme)
    known = np.isfinite(points).all(-1)
    weight = np.zeros(points.shape[:2])
    inner = list(scheme.groups["inner"])
    weight[:, inner] = known[:, inner]
    place = fit_similarity(np.broadcast_to(mean, points.shape), np.where(known[..., None], points, 0), weight)
    return np.asarray(place[..., :2] * (unit / scale_of(place))[:, None, None])


def symmetric(shape: Doubles, scheme: Scheme) -> Doubles:
    """The mean of a shape (P, 2) about x = 0, or of offsets, and its mirror image; half faces stay as they are."""
    if scheme.mirror_scheme != scheme.name:
        return shape
    mean: Doubles = (shape + scheme.mirrored(shape, 1)) / 2
    return mean


def _upright(shape: Doubles, scheme: Scheme) -> Doubles:
    """A shape turned by half of what separates it from its mirror image."""
    if scheme.mirror_scheme != scheme.name:
        return shape
    cosine, sine = fit_similarity(shape, scheme.mirrored(shape, 1))[:, 0]
    half = np.arctan2(sine, cosine) / 2
    return apply(similarity(1.0, float(np.rad2deg(half))), shape)


def in_frame(moves: Doubles, frame: Doubles) -> Doubles:
    """Moves (F, P, 2) in pixels, in the axes of each face."""
    return np.asarray(np.linalg.solve(frame[:, None], moves[..., None])[..., 0])


def in_pixels(moves: Doubles, frame: Doubles) -> Doubles:
    """Moves (P, 2) or (F, P, 2) in the axes of a face, in pixels of each of F faces. Shape (F, P, 2)."""
    return np.asarray(moves @ np.swapaxes(frame, -1, -2))


def manner(source: Doubles, target: Doubles, frame: Doubles, scheme: Scheme) -> Doubles:
    """How differently two sources place the points, noise aside: the median move in the axes of the face.

    Args:
        source: Shape (F, P, 2).
        target: Shape (F, P, 2).
        frame: Of the faces. Shape (F, 2, 2).
        scheme: Of the points; left and right get the same offset.

    Returns:
        From source to target. Shape (P, 2), 0 for a point that no face has.
    """
    moves = in_frame(target - source, frame)
    known = np.isfinite(moves).all(-1).any(0)
    offset = np.zeros(moves.shape[1:])
    offset[known] = np.nanmedian(moves[:, known], 0)
    return symmetric(offset, scheme)


def in_style(estimates: Estimates, frame: Doubles, scheme: Scheme, style: Style) -> Estimates:
    """The estimates in one manner: the net's moved to that of the labels, or labels and fit to that of the net."""
    if not np.isfinite(estimates.net).any():
        return estimates
    shift = in_pixels(manner(estimates.label, estimates.net, frame, scheme), frame)
    if style == "labels":
        return Estimates(estimates.label, estimates.fit, estimates.net - shift)
    return Estimates(estimates.label + shift, estimates.fit + shift, estimates.net)


@dataclass(frozen=True, eq=False)
class Cleaned:
    """New labels.

    Attributes:
        points: Shape (F, P, 2), pixels.
        moved: How far from the old ones in the same manner, over the inter-ocular distance; NaN = not annotated.
            Shape (F, P).
        kept: Points that would have moved beyond the limit and stay. Shape (F, P).
        problems: Why a face is not to be used; empty = it is. Length F.
    """

    points: Doubles
    moved: Doubles
    kept: NDArray[np.bool_]
    problems: tuple[str, ...]


def limited(label: Doubles, points: Doubles, unit: Doubles, limit: float) -> Cleaned:
    """Keep what would move too far: there a prior is wrong, or the label, and nobody knows which.

    Args:
        label: The old labels, in the manner of the new. Shape (F, P, 2).
        points: The new ones; NaN where the label is not = a source is missing. Shape (F, P, 2).
        unit: Inter-ocular distance. Shape (F,), pixels.
        limit: A point that would move further, over the unit, stays where it was; a face with more than a quarter of
            such points, or without a source, is refused.
    """
    moved = np.linalg.norm(points - label, axis=-1) / unit[:, None]
    known = np.isfinite(label).all(-1)
    missing = (known & np.isnan(moved)).any(1)
    kept = known & (np.nan_to_num(moved) > limit)
    share = kept.sum(1) / np.maximum(known.sum(1), 1)
    problems = tuple(
        "a prior is missing" if lost else f"{far:.0%} of its points would move beyond the limit" if far > SPOILT else ""
        for lost, far in zip(missing, share, strict=True)
    )
    return Cleaned(np.where(kept[..., None], label, points), np.where(kept, 0, moved), kept, problems)


def noise_fields(estimates: Estimates, frame: Doubles, scheme: Scheme) -> Doubles:
    """What labels and net disagree on, the manner taken out, in the axes of the face. Shape (F, P, 2)."""
    moves = in_frame(estimates.label - estimates.net, frame)
    return moves - manner(estimates.net, estimates.label, frame, scheme)


def spread(moves: Doubles, points: Sequence[int]) -> float:
    """Mean length of the moves (F, P, 2) of some points; NaN is left out."""
    return float(np.nanmean(np.linalg.norm(moves[:, list(points)], axis=-1)))


def split_noise(fields: Doubles, noise: float, points: Sequence[int]) -> tuple[float, float]:
    """Of what labels and net disagree on, the labels' part and the net's, taken as independent.

    Args:
        fields: Of `noise_fields`. Shape (F, P, 2).
        noise: Mean error of a label, over the inter-ocular distance.
        points: Where it is that.

    Returns:
        The factor that makes the fields as large as the noise, and the mean error of the net.

    Raises:
        ShapeError: labels and net agree better than labels with this noise can.
    """
    whole = spread(fields, points)
    if not 0 < noise < whole:
        raise ShapeError(f"labels with an error of {noise:.2%} cannot lie {whole:.2%} from the net; it must be less")
    return noise / whole, float(np.sqrt(whole**2 - noise**2))


def degrade(truth: Doubles, frame: Doubles, fields: Doubles, rng: np.random.Generator) -> Doubles:
    """Good labels made bad: to each face the noise of a face of the noisy set.

    Args:
        truth: Shape (F, P, 2).
        frame: Of these faces. Shape (F, 2, 2).
        fields: Noise of other faces in their axes. Shape (G, P, 2).
        rng: Draws which.

    Returns:
        Shape (F, P, 2).
    """
    chosen = fields[rng.integers(len(fields), size=len(truth))]
    return truth + in_pixels(chosen, frame)


@dataclass(frozen=True, eq=False)
class Choice:
    """Weights that were chosen.

    Attributes:
        weights: By group.
        errors: By group, of each source, of the best blend of label and fit, and of the best of all: mean distance to
            the truth over the inter-ocular distance.
    """

    weights: dict[str, tuple[float, float, float]]
    errors: dict[str, dict[str, float]]


def choose(
    truth: Doubles, estimates: Estimates, unit: Doubles, groups: Mapping[str, tuple[int, ...]], steps: int = 20
) -> Choice:
    """The weights, in steps of 1 / `steps`, with the least error to the truth, group by group.

    Args:
        truth: Shape (F, P, 2).
        estimates: Of the same faces, in the manner of the truth; a source that is NaN throughout gets no weight.
        unit: Inter-ocular distance. Shape (F,), pixels.
        groups: Points of each group.
        steps: How fine.
    """
    off = (estimates.stacked() - truth) / unit[:, None, None]  # (3, F, P, 2)
    usable = [bool(np.isfinite(source).any()) for source in off]
    weights, errors = {}, {}
    for group, points in groups.items():
        here = off[:, :, list(points)]
        here = here[:, np.isfinite(here[usable]).all((0, 2, 3))]
        here = np.where(np.isfinite(here), here, 0)
        found: dict[tuple[float, float, float], float] = {}
        for first, second in product(range(steps + 1), repeat=2):
            shares = (first / steps, second / steps, (steps - first - second) / steps)
            if shares[2] >= 0 and not any(share and not use for share, use in zip(shares, usable, strict=True)):
                found[shares] = float(np.linalg.norm(np.tensordot(shares, here, 1), axis=-1).mean())
        best = min(found, key=lambda shares: found[shares])
        corners = zip(SOURCES, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), strict=True)
        alone = {name: found.get(corner, float("nan")) for name, corner in corners}
        weights[group] = best
        without_net = min(error for shares, error in found.items() if not shares[2])
        errors[group] = {**alone, "label and fit": without_net, "blend": found[best]}
    return Choice(weights, errors)
