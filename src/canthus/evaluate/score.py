"""Scoring predicted landmarks by a protocol, in chunks, so that memory stays bounded however many faces there are.

Laws (tested): the order of the faces does not matter; a set's mean is the mean of its subsets weighed by their counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from canthus.errors import SchemeError, ShapeError
from canthus.evaluate import metrics
from canthus.evaluate.cut import Cut, cut_values
from canthus.evaluate.protocol import Protocol, ProtocolError
from canthus.evaluate.reliability import Tally, bad_precision, brier, calibration_error, reliability_curve, tally
from canthus.evaluate.result import Contour, Labels, Reliability, Result, Row, mean_error
from canthus.schemes.scheme import Scheme

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Missing = Literal["refuse", "failure"]

CHUNK = 4096
"""Faces scored at a time."""
SHORTEST_CONTOUR = 5
"""Fewer points do not follow the contour: no tangent can be told."""
NEAR = 0.025
"""A point is near its truth within this part of the longer side of the box: what the scores of `Faces` claim."""


def evaluate_points(
    truth: NDArray[Any],
    predictions: NDArray[Any],
    protocol: Protocol | str,
    labels: Labels | None = None,
    scores: NDArray[Any] | None = None,
    missing: Missing = "refuse",
) -> Result:
    """Score predictions.

    Args:
        truth: Shape (F, P, 2 or 3), pixels; NaN = not annotated, which the protocol's mask must allow.
        predictions: Shape (F, P, 2 or 3), pixels; NaN = not found.
        protocol: Or its name.
        labels: What else is known of the faces.
        scores: Reliability of each predicted point, 0..1. Shape (F, P).
        missing: What to do about a face that was not found: refuse, or count it as a failure.

    Raises:
        ProtocolError: the labels do not fit the protocol; the message says which and how to proceed.
        SchemeError: the points are not those of the scheme.
        ShapeError: truth and predictions are not of the same faces.
    """
    protocol = Protocol.open(protocol) if isinstance(protocol, str) else protocol
    labels, scheme = labels or Labels(), Scheme.open(protocol.scheme)
    _check(truth, predictions, scores, protocol, scheme, labels)
    sums = _Sums.empty(scheme)
    errors = np.empty(len(truth))
    near: Tally | None = None
    seen: Tally | None = None
    for start in range(0, len(truth), CHUNK):
        part = slice(start, start + CHUNK)
        true, predicted = truth[part, :, : protocol.dims], predictions[part, :, : protocol.dims]
        mask = _mask(true, protocol, scheme, labels, part)
        unit = _units(true, protocol, scheme, labels, part)
        distance = metrics.distances(predicted, true)
        error = metrics.face_errors(distance, unit, mask, protocol.measure)
        lost = np.isnan(error)
        if missing == "refuse" and lost.any():
            remedy = "predict them, or count them as failures (--missing failure)"
            raise ProtocolError(f"{_some(lost, labels, start)} have no prediction; {remedy}")
        errors[part] = np.where(lost, np.inf, error)
        sums.add(
            distance / unit[:, None], mask & ~lost[:, None], None if labels.visible is None else labels.visible[part]
        )
        sums.add_contour(predicted, true, unit)
        if scores is not None:
            side = np.nanmax(true[..., :2], axis=1) - np.nanmin(true[..., :2], axis=1)
            claimed = np.where(mask, scores[part], np.nan)
            near = _plus(near, tally(distance <= NEAR * side.max(-1, keepdims=True), claimed))
            seen = None if labels.visible is None else _plus(seen, tally(labels.visible[part], claimed))
    bins = cut_values("|yaw|", np.abs(labels.yaw), protocol.bins) if protocol.bins and labels.yaw is not None else None
    return Result(
        protocol,
        errors,
        sums.points(),
        sums.regions(scheme),
        rows_of(errors, bins, protocol) if bins else (),
        {cut.title: rows_of(errors, cut, protocol) for cut in labels.cuts},
        sums.visibility(),
        sums.contour(),
        _reliability(near, seen),
        tuple(_caveats(protocol, errors, bins)),
    )


def rows_of(errors: NDArray[Any], cut: Cut, protocol: Protocol) -> tuple[Row, ...]:
    """Figures of each class of a cut that has faces. Errors of shape (F,), infinite = not found."""
    rows = []
    for number, name in enumerate(cut.classes):
        part = errors[cut.index == number]
        if part.size:
            area, failures = metrics.auc(part, protocol.threshold), metrics.failure_rate(part, protocol.threshold)
            rows.append(Row(name, len(part), mean_error(part), area, failures))
    return tuple(rows)


def _check(
    truth: NDArray[Any],
    predictions: NDArray[Any],
    scores: NDArray[Any] | None,
    protocol: Protocol,
    scheme: Scheme,
    labels: Labels,
) -> None:
    """That everything is there, and of the same faces and points."""
    for name, points in (("truth", truth), ("predictions", predictions)):
        if points.ndim != 3 or points.shape[2] < protocol.dims:
            raise ShapeError(f"{name}: points are (F, P, {protocol.dims} or more), not {points.shape}")
        if points.shape[1] != scheme.count:
            raise SchemeError(
                f"{name}: {points.shape[1]} points a face, but scheme {scheme.name} has {scheme.count}; "
                "name the scheme of your files, or convert them"
            )
    if len(truth) != len(predictions):
        raise ShapeError(f"{len(truth)} true faces and {len(predictions)} predicted ones cannot be paired")
    if scores is not None and scores.shape != truth.shape[:2]:
        raise ShapeError(f"scores are one a point, {truth.shape[:2]}, not {scores.shape}")
    if not len(truth):
        raise ShapeError("no face to score")
    if protocol.part and protocol.part not in scheme.groups:
        raise ProtocolError(f"scheme {scheme.name} has no group {protocol.part!r}; it has {', '.join(scheme.groups)}")
    given = {"visible": labels.visible, "boxes": labels.boxes, "yaw": labels.yaw}
    needed = {
        "visible": protocol.mask == "visible",
        "boxes": protocol.normaliser_box == "set" and protocol.normaliser in ("box", "diagonal"),
        "yaw": protocol.aggregation == "bins",
    }
    for name, value in given.items():
        if needed[name] and value is None:
            raise ProtocolError(f"{protocol.name} needs {name} of each face, which these labels do not have")
        if value is not None and len(value) != len(truth):
            raise ShapeError(f"{name}: {len(value)} rows for {len(truth)} faces")


def _mask(true: NDArray[Any], protocol: Protocol, scheme: Scheme, labels: Labels, part: slice) -> Mask:
    """Which points count. Shape (n, P)."""
    annotated = ~np.isnan(true).any(-1)
    counted = np.ones(scheme.count, np.bool_)
    if protocol.part:
        counted = np.isin(np.arange(scheme.count), scheme.groups[protocol.part])
    mask = np.broadcast_to(counted, annotated.shape)
    if protocol.mask == "visible" and labels.visible is not None:
        mask = mask & labels.visible[part]
    if protocol.mask == "annotated":
        mask = mask & annotated
    partial: Mask = (mask & ~annotated).any(-1)
    if partial.any():
        raise ProtocolError(
            f"{_some(partial, labels, part.start)} lack points that {protocol.name} counts; "
            "leave them out of the truth, or count what is annotated (--mask annotated)"
        )
    empty: Mask = np.logical_not(mask.any(-1))
    if empty.any():
        raise ProtocolError(
            f"{_some(empty, labels, part.start)} have no point that counts; leave them out of the truth"
        )
    return mask


def _units(true: NDArray[Any], protocol: Protocol, scheme: Scheme, labels: Labels, part: slice) -> Array:
    """The normaliser of each face, checked. Shape (n,)."""
    boxes = labels.boxes[part] if protocol.normaliser_box == "set" and labels.boxes is not None else None
    unit = metrics.normalisers(true, protocol.normaliser, scheme, boxes)
    wrong = np.logical_not(unit > 0)
    if wrong.any():
        raise ProtocolError(
            f"{_some(wrong, labels, part.start)} have no {protocol.normaliser} distance: "
            "points it hangs on are missing or coincide; choose another normaliser or leave them out"
        )
    return unit


def _some(chosen: Mask, labels: Labels, start: int) -> str:
    """How many faces of a chunk, and the first few by name."""
    places = np.flatnonzero(chosen) + start
    names = [labels.images[place] if labels.images else str(place) for place in places[:3]]
    return f"{len(places)} faces ({', '.join(names)}{', ...' if len(places) > 3 else ''})"


def _plus(total: Tally | None, part: Tally) -> Tally:
    return part if total is None else total + part


def _caveats(protocol: Protocol, errors: Array, bins: Cut | None) -> list[str]:
    told = []
    if protocol.faces is not None and len(errors) != protocol.faces:
        told.append(f"{len(errors)} faces were scored; {protocol.name} has {protocol.faces}.")
    if lost := int(np.isinf(errors).sum()):
        told.append(f"{lost} faces were not found: they are failures, and the NME is the mean of the others.")
    if bins is not None and (outside := int((bins.index < 0).sum())):
        told.append(f"{outside} faces lie in no bin of yaw.")
    if bins is not None and protocol.aggregation == "bins" and len(set(bins.index) - {-1}) < len(bins.classes):
        told.append("A bin of yaw is empty: the mean is that of the others.")
    return told


def _reliability(near: Tally | None, seen: Tally | None) -> Reliability | None:
    """From the tallies of near and of visible points."""
    if near is None:
        return None
    curve = reliability_curve(near)
    occluded = float("nan") if seen is None else bad_precision(seen)
    return Reliability(curve, calibration_error(curve), brier(near), bad_precision(near), occluded)


@dataclass(eq=False)
class _Sums:
    """Running sums over chunks, per point, per contour point and by visibility; faces not found are left out."""

    total: Array
    count: Array
    seen: Array
    seen_count: Array
    line: Sequence[int]
    along: Array
    along_count: Array

    @classmethod
    def empty(cls, scheme: Scheme) -> "_Sums":
        points, line = np.zeros(scheme.count), scheme.contour
        zero = np.zeros((2, len(line)))
        return cls(points, points.copy(), np.zeros(2), np.zeros(2), line, zero, zero.copy())

    def add(self, error: Array, mask: Mask, visible: Mask | None) -> None:
        """Errors (n, P) as fractions, of the points under the mask."""
        known = mask & ~np.isnan(error)
        kept = np.where(known, error, 0)
        self.total += kept.sum(0)
        self.count += known.sum(0)
        if visible is not None:
            self.seen += kept[visible].sum(), kept[~visible].sum()
            self.seen_count += (known & visible).sum(), (known & ~visible).sum()

    def add_contour(self, predicted: NDArray[Any], true: NDArray[Any], unit: Array) -> None:
        if len(self.line) >= SHORTEST_CONTOUR:
            parts = np.abs(metrics.along_contour(predicted, true, self.line)) / unit[:, None]  # (2, n, C)
            self.along += np.nansum(parts, 1)
            self.along_count += (~np.isnan(parts)).sum(1)

    def points(self) -> Array:
        return _ratio(self.total, self.count)

    def regions(self, scheme: Scheme) -> dict[str, float]:
        groups = {"all": tuple(range(scheme.count)), **scheme.groups}
        total = {name: (self.total[list(at)].sum(), self.count[list(at)].sum()) for name, at in groups.items()}
        return {name: float(value / count) for name, (value, count) in total.items() if count}

    def visibility(self) -> dict[str, float]:
        means = _ratio(self.seen, self.seen_count)
        return {
            name: float(mean)
            for name, mean, count in zip(("visible", "occluded"), means, self.seen_count, strict=True)
            if count
        }

    def contour(self) -> Contour | None:
        tangent, normal = _ratio(self.along, self.along_count)
        return Contour(tangent, normal) if np.isfinite(tangent).any() else None


def _ratio(total: Array, count: Array) -> Array:
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
