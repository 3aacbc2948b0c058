"""Scores predicted landmarks by a protocol, in chunks of faces, so that memory stays bounded for any number of faces.

Laws (tested): the order of the faces does not matter; the mean of a set is the mean of its subsets weighted by their
numbers of faces.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from canthus.errors import SchemeError, ShapeError
from canthus.evaluate import metrics
from canthus.evaluate.cut import Cut, cut_values
from canthus.evaluate.protocol import Protocol, ProtocolError
from canthus.evaluate.result import Labels, Result, Row, mean_error
from canthus.evaluate.sums import Sums
from canthus.schemes.scheme import Scheme

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Missing = Literal["refuse", "failure"]

CHUNK = 4096
"""Number of faces scored at a time."""


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
        truth: True points; NaN = not annotated, which the protocol's mask must allow. Shape (F, P, 2 or 3), pixels.
        predictions: Predicted points; NaN or infinite = not found. Shape (F, P, 2 or 3), pixels.
        protocol: Scoring rules, or their name.
        labels: What else is known of the faces.
        scores: Reliability of each predicted point, 0..1. Shape (F, P).
        missing: What to do about a face that was not found: refuse to score, or count it as a failure.

    Raises:
        ProtocolError: the labels do not fit the protocol, or `missing` is not known; the message gives the remedy.
        SchemeError: the points are not those of the scheme.
        ShapeError: truth and predictions are not of the same faces.
    """
    protocol = Protocol.open(protocol) if isinstance(protocol, str) else protocol
    labels, scheme = labels or Labels(), Scheme.open(protocol.scheme)
    _check(truth, predictions, scores, protocol, scheme, labels, missing)
    sums = Sums.empty(scheme)
    errors = np.empty(len(truth))
    for start in range(0, len(truth), CHUNK):
        part = slice(start, start + CHUNK)
        true, predicted = truth[part, :, : protocol.dims], predictions[part, :, : protocol.dims]
        mask = _mask(true, protocol, labels, part)
        unit = _units(true, protocol, scheme, labels, part)
        distance = metrics.distances(predicted, true)
        error = metrics.face_errors(distance, unit, mask, protocol.measure)
        lost = ~np.isfinite(error)
        if missing == "refuse" and lost.any():
            remedy = "predict them, or count them as failures (--missing failure)"
            raise ProtocolError(f"{_some(lost, labels, start)} have no prediction; {remedy}")
        errors[part] = np.where(lost, np.inf, error)
        visible = None if labels.visible is None else labels.visible[part]
        counted = mask & ~lost[:, None]
        sums.add(distance / unit[:, None], counted, visible)
        sums.add_contour(predicted, true, unit, counted)
        if scores is not None:
            sums.add_scores(distance, true, np.where(mask, scores[part], np.nan), visible)
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
        sums.reliability(),
        tuple(_caveats(protocol, errors, bins)),
    )


def rows_of(errors: NDArray[Any], cut: Cut, protocol: Protocol) -> tuple[Row, ...]:
    """Figures of each class of a cut that has faces. Errors of the faces have shape (F,); infinite = not found."""
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
    missing: str,
) -> None:
    """Check that everything the protocol needs is there, and is of the same faces and points."""
    if missing not in get_args(Missing):
        raise ProtocolError(f"missing must be one of {', '.join(get_args(Missing))}, not {missing!r}")
    for name, points in (("truth", truth), ("predictions", predictions)):
        if points.ndim != 3 or points.shape[2] < protocol.dims:
            raise ShapeError(f"{name}: points are (F, P, {protocol.dims} or more), not {points.shape}")
        if points.shape[1] != scheme.count:
            raise SchemeError(
                f"{name}: {points.shape[1]} points per face, but scheme {scheme.name} has {scheme.count}; "
                "name the scheme of your files, or convert them"
            )
    if len(truth) != len(predictions):
        raise ShapeError(f"{len(truth)} true faces and {len(predictions)} predicted ones cannot be paired")
    if scores is not None and scores.shape != truth.shape[:2]:
        raise ShapeError(f"there is one score for each point, {truth.shape[:2]}, not {scores.shape}")
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
            raise ProtocolError(f"{protocol.name} needs {name} for each face, which these labels do not have")
        if value is not None and len(value) != len(truth):
            raise ShapeError(f"{name}: {len(value)} rows for {len(truth)} faces")


def scored_points(true: NDArray[Any], protocol: Protocol, labels: Labels, part: slice) -> Mask:
    """Which points the mask and the part of the protocol include, for some of the faces.

    Args:
        true: True points of these faces. Shape (n, P, D).
        protocol: Scoring rules.
        labels: Labels of all faces.
        part: Position of these faces among all.

    Returns:
        Shape (n, P).
    """
    mask: Mask = np.ones(true.shape[:2], np.bool_)
    if protocol.mask == "annotated":
        mask = ~np.isnan(true).any(-1)
    elif protocol.mask == "visible" and labels.visible is not None:
        mask = labels.visible[part]
    if protocol.part:
        scheme = Scheme.open(protocol.scheme)
        mask = mask & np.isin(np.arange(scheme.count), scheme.groups[protocol.part])
    return mask


def _mask(true: NDArray[Any], protocol: Protocol, labels: Labels, part: slice) -> Mask:
    """Which points are scored; every face must have one, and the truth must have them all. Shape (n, P)."""
    mask = scored_points(true, protocol, labels, part)
    annotated = ~np.isnan(true).any(-1)
    partial: Mask = (mask & ~annotated).any(-1)
    if partial.any():
        raise ProtocolError(
            f"{_some(partial, labels, part.start)} lack points that {protocol.name} scores; "
            "leave these faces out of the truth, or score annotated points only (--mask annotated)"
        )
    empty: Mask = np.logical_not(mask.any(-1))
    if empty.any():
        raise ProtocolError(
            f"{_some(empty, labels, part.start)} have no point to score; leave these faces out of the truth"
        )
    return mask


def _units(true: NDArray[Any], protocol: Protocol, scheme: Scheme, labels: Labels, part: slice) -> Array:
    """The normaliser of each face, checked to be positive. Shape (n,)."""
    boxes = labels.boxes[part] if protocol.normaliser_box == "set" and labels.boxes is not None else None
    unit = metrics.normalisers(true, protocol.normaliser, scheme, boxes)
    wrong = np.logical_not(unit > 0)
    if wrong.any():
        raise ProtocolError(
            f"{_some(wrong, labels, part.start)} have no {protocol.normaliser} distance: "
            "the points that define it are missing or coincide; choose another normaliser or leave these faces out"
        )
    return unit


def _some(chosen: Mask, labels: Labels, start: int) -> str:
    """The number of chosen faces of a chunk, and the first few by name."""
    numbers = np.flatnonzero(chosen) + start
    names = [labels.images[number] if labels.images else str(number) for number in numbers[:3]]
    return f"{len(numbers)} faces ({', '.join(names)}{', ...' if len(numbers) > 3 else ''})"


def _caveats(protocol: Protocol, errors: Array, bins: Cut | None) -> list[str]:
    """Reasons why the figure may not be comparable with others of this protocol."""
    caveats = []
    if protocol.faces is not None and len(errors) != protocol.faces:
        caveats.append(f"{len(errors)} faces were scored; {protocol.name} has {protocol.faces}.")
    if lost := int(np.isinf(errors).sum()):
        caveats.append(f"{lost} faces were not found: they are failures, and the NME is the mean of the others.")
    if bins is not None and (outside := int((bins.index < 0).sum())):
        caveats.append(f"{outside} faces lie in no bin of yaw.")
    if bins is not None and protocol.aggregation == "bins" and len(set(bins.index) - {-1}) < len(bins.classes):
        caveats.append("A bin of yaw is empty: the mean is that of the other bins.")
    return caveats
