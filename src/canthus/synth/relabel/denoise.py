"""Labels with less noise: each point a blend of its label, the fitted face model and the prediction of a network.

A network trained on well-labelled pictures has an annotation bias of its own. The bias is separated from the noise as a
constant offset of each point in the axes of the face, and removed from the network or added to the labels. The best
weights are found where the truth is known: on good labels to which the noise of the others is added.

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
"""Weights of label, fit and net by group of the scheme; a point of two groups has the weights of the later one."""
BiasOf = Literal["labels", "net"]
"""The annotation bias that the result has: that of the labels, or that of the network."""

SOURCES = ("label", "fit", "net")
SPOILT = 0.25
"""A face is refused when a larger share of its points would move too far."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """The points of F faces from three sources, in pixels.

    Attributes:
        label: Labels; NaN = not annotated. Shape (F, P, 2).
        fit: Points of the fitted face model; NaN = not fitted. Shape (F, P, 2).
        net: Predictions of the network; NaN = no network. Shape (F, P, 2).
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
        """The three in the order of `SOURCES`. Shape (3, F, P, 2)."""
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
        estimates: Points of F faces.
        weights: Weights of each point for `SOURCES`. Shape (P, 3).

    Returns:
        Shape (F, P, 2); NaN where the label is, or a source that has weight.
    """
    every = estimates.stacked()
    used = np.moveaxis(weights, -1, 0)[:, None, :, None]
    mixed: Doubles = (np.where(used > 0, every, 0) * used).sum(0)
    return np.where(np.isnan(estimates.label), np.nan, mixed)


def frames(points: NDArray[Any], unit: Doubles, scheme: Scheme) -> Doubles:
    """The axes of each face: rotated as the symmetric mean face is when it is fitted to the inner points.

    Args:
        points: Points; NaN has no weight. Shape (F, P, 2).
        unit: Length of the axes, the inter-ocular distance. Shape (F,), pixels.
        scheme: Scheme of the points.

    Returns:
        Matrices from the axes of a face to pixels. Shape (F, 2, 2).
    """
    points = np.asarray(points, np.float64)
    mean = symmetric(_upright(mean_shape(points), scheme), scheme)
    known = np.isfinite(points).all(-1)
    weight = np.zeros(points.shape[:2])
    inner = list(scheme.groups["inner"])
    weight[:, inner] = known[:, inner]
    fitted = fit_similarity(np.broadcast_to(mean, points.shape), np.where(known[..., None], points, 0), weight)
    return np.asarray(fitted[..., :2] * (unit / scale_of(fitted))[:, None, None])


def symmetric(shape: Doubles, scheme: Scheme) -> Doubles:
    """The mean of a shape (P, 2) about x = 0, or of offsets, and its mirror image; half faces stay as they are."""
    if scheme.mirror_scheme != scheme.name:
        return shape
    mean: Doubles = (shape + scheme.mirrored(shape, 1)) / 2
    return mean


def _upright(shape: Doubles, scheme: Scheme) -> Doubles:
    """A shape rotated by half of the angle between it and its mirror image."""
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


def bias_between(source: Doubles, target: Doubles, frame: Doubles, scheme: Scheme) -> Doubles:
    """The annotation bias of one source over another: the median offset of each point in the axes of the face.

    Args:
        source: Points. Shape (F, P, 2).
        target: Points. Shape (F, P, 2).
        frame: Axes of the faces. Shape (F, 2, 2).
        scheme: Scheme of the points; left and right get the same offset.

    Returns:
        Offsets from source to target; 0 for a point that no face has. Shape (P, 2).
    """
    moves = in_frame(target - source, frame)
    known = np.isfinite(moves).all(-1).any(0)
    offset = np.zeros(moves.shape[1:])
    offset[known] = np.nanmedian(moves[:, known], 0)
    return symmetric(offset, scheme)


def with_bias_of(estimates: Estimates, frame: Doubles, scheme: Scheme, bias: BiasOf) -> Estimates:
    """The estimates with one annotation bias: the net gets that of the labels, or labels and fit get that of the net.

    Args:
        estimates: Points of F faces.
        frame: Axes of the faces. Shape (F, 2, 2).
        scheme: Scheme of the points.
        bias: Source whose bias all get.
    """
    if not np.isfinite(estimates.net).any():
        return estimates
    shift = in_pixels(bias_between(estimates.label, estimates.net, frame, scheme), frame)
    if bias == "labels":
        return Estimates(estimates.label, estimates.fit, estimates.net - shift)
    return Estimates(estimates.label + shift, estimates.fit + shift, estimates.net)


@dataclass(frozen=True, eq=False)
class Cleaned:
    """New labels.

    Attributes:
        points: The labels. Shape (F, P, 2), pixels.
        moved: Distance from the old labels with the same bias, over the inter-ocular distance; NaN = not annotated.
            Shape (F, P).
        kept: Points that would have moved too far and stay where they were. Shape (F, P).
        problems: Reason why a face is refused; empty = it is used. Length F.
    """

    points: Doubles
    moved: Doubles
    kept: NDArray[np.bool_]
    problems: tuple[str, ...]


def limited(label: Doubles, points: Doubles, unit: Doubles, most: float) -> Cleaned:
    """Leave points where they were that would move too far: there the prior or the label is wrong, it is unknown which.

    Args:
        label: The old labels, with the bias of the new. Shape (F, P, 2).
        points: The new labels; NaN where the old one is not = a source is missing. Shape (F, P, 2).
        unit: Inter-ocular distance. Shape (F,), pixels.
        most: Largest move, over the unit; a face with more than a quarter of its points beyond it, or without a source,
            is refused.
    """
    moved = np.linalg.norm(points - label, axis=-1) / unit[:, None]
    known = np.isfinite(label).all(-1)
    missing = (known & np.isnan(moved)).any(1)
    kept = known & (np.nan_to_num(moved) > most)
    share = kept.sum(1) / np.maximum(known.sum(1), 1)
    problems = tuple(
        "a prior is missing" if lost else f"{far:.0%} of its points would move too far" if far > SPOILT else ""
        for lost, far in zip(missing, share, strict=True)
    )
    return Cleaned(np.where(kept[..., None], label, points), np.where(kept, 0, moved), kept, problems)


def noise_fields(estimates: Estimates, frame: Doubles, scheme: Scheme) -> Doubles:
    """Differences of labels and net without the bias, in the axes of the face. Shape (F, P, 2)."""
    moves = in_frame(estimates.label - estimates.net, frame)
    return moves - bias_between(estimates.net, estimates.label, frame, scheme)


def mean_length(moves: Doubles, points: Sequence[int]) -> float:
    """Mean length of the moves (F, P, 2) of some points; NaN is omitted."""
    return float(np.nanmean(np.linalg.norm(moves[:, list(points)], axis=-1)))


def split_noise(fields: Doubles, noise: float, points: Sequence[int]) -> tuple[float, float]:
    """Split the differences of labels and net into the noise of the labels and that of the net, taken as independent.

    Args:
        fields: Result of `noise_fields`. Shape (F, P, 2).
        noise: Mean error of a label, over the inter-ocular distance.
        points: Points that have this error.

    Returns:
        Factor that makes the fields as large as the noise of the labels, and the mean error of the net.

    Raises:
        ShapeError: labels and net agree better than labels with this noise can.
    """
    whole = mean_length(fields, points)
    if not 0 < noise < whole:
        raise ShapeError(
            f"labels with an error of {noise:.2%} cannot be only {whole:.2%} away from the net; give a smaller error"
        )
    return noise / whole, float(np.sqrt(whole**2 - noise**2))


def degrade(truth: Doubles, frame: Doubles, fields: Doubles, rng: np.random.Generator) -> Doubles:
    """Good labels with noise: to each face that of a random face of the noisy set is added.

    Args:
        truth: Good labels. Shape (F, P, 2).
        frame: Axes of these faces. Shape (F, 2, 2).
        fields: Noise of other faces in their axes. Shape (G, P, 2).
        rng: Random numbers.

    Returns:
        Shape (F, P, 2).
    """
    chosen = fields[rng.integers(len(fields), size=len(truth))]
    return truth + in_pixels(chosen, frame)


@dataclass(frozen=True, eq=False)
class Choice:
    """Weights that were chosen.

    Attributes:
        weights: Weights of label, fit and net by group.
        errors: By group, the mean distance to the truth over the inter-ocular distance: of each source, of the best
            blend of label and fit, and of the best blend of all.
    """

    weights: dict[str, tuple[float, float, float]]
    errors: dict[str, dict[str, float]]


def choose(
    truth: Doubles, estimates: Estimates, unit: Doubles, groups: Mapping[str, tuple[int, ...]], steps: int = 20
) -> Choice:
    """The weights, in steps of 1 / `steps`, with the least error to the truth, group by group.

    Args:
        truth: True points. Shape (F, P, 2).
        estimates: Estimates of the same faces with the bias of the truth; a source that is all NaN gets no weight.
        unit: Inter-ocular distance. Shape (F,), pixels.
        groups: Points of each group.
        steps: Number of steps from 0 to 1.
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
