"""Whether system A is better than system B on the same faces: paired differences with their bootstrap intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.evaluate import metrics
from canthus.evaluate.bootstrap import bootstrap_interval, clusters_of
from canthus.evaluate.pairing import paired
from canthus.evaluate.protocol import Protocol
from canthus.evaluate.result import Labels, as_plain
from canthus.evaluate.score import CHUNK, evaluate_points, scored_points
from canthus.evaluate.table import Table
from canthus.schemes.scheme import Scheme

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """A - B on the same faces.

    Attributes:
        name: Points compared: "all", or a group of the scheme.
        a: Mean error of A, a fraction.
        b: Mean error of B, a fraction.
        difference: Mean of A - B; negative = A is better.
        low: Lower end of the interval of the difference.
        high: Upper end of the interval of the difference.
        wins: Share of faces on which A is better, ties counted half.
    """

    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    wins: float

    @property
    def decided(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class Comparison:
    """A against B.

    Attributes:
        protocol: Scoring rules.
        faces: Number of faces.
        level: Confidence level of the intervals.
        units: What the bootstrap draws: "faces", or "identities" where several faces show one person.
        total: Difference over all scored points.
        regions: Difference over the scored points of each group of the scheme; groups without such points are omitted.
    """

    protocol: Protocol
    faces: int
    level: float
    units: str
    total: Difference
    regions: tuple[Difference, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [{name: getattr(row, name) for name in Difference.__slots__} for row in (self.total, *self.regions)]
        tree = {
            "protocol": self.protocol.as_dict(),
            "faces": self.faces,
            "level": self.level,
            "units": self.units,
            "rows": rows,
        }
        plain: dict[str, Any] = as_plain(tree)
        return plain


def compare_tables(truth: Table, first: Table, second: Table, protocol: Protocol, level: float = 0.95) -> Comparison:
    """Compare two tables of predictions; the faces are paired by their images.

    Args:
        truth: True points; identities keep the faces of one person together.
        first: Predictions of A.
        second: Predictions of B.
        protocol: Scoring rules.
        level: Confidence level of the intervals.

    Raises:
        DataError: the predictions cannot be paired with the true faces.
        ProtocolError: the labels do not fit the protocol, or a face has no prediction.
    """
    a, b = (paired(table, truth) for table in (first, second))
    labels = truth.labels(Scheme.open(protocol.scheme), "set")
    return compare_points(truth.points, a.points, b.points, protocol, labels, truth.identities, level)


def compare_points(
    truth: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    protocol: Protocol | str,
    labels: Labels | None = None,
    identities: tuple[str, ...] = (),
    level: float = 0.95,
) -> Comparison:
    """Compare two predictions of the same faces.

    Args:
        truth: True points. Shape (F, P, 2 or 3), pixels.
        first: Points of A. Same shape.
        second: Points of B. Same shape.
        protocol: Scoring rules, or their name.
        labels: What else is known of the faces.
        identities: Person or video of each face, drawn whole by the bootstrap. Length F, or none.
        level: Confidence level of the intervals.

    Raises:
        ProtocolError: the labels do not fit the protocol, or a face has no prediction.
        ShapeError: the three arrays are not of the same faces.
    """
    results = [evaluate_points(truth, points, protocol, labels) for points in (first, second)]
    rules, scheme = results[0].protocol, Scheme.open(results[0].protocol.scheme)
    errors = {"all": (results[0].errors, results[1].errors)}
    for name, group in scheme.groups.items():
        a, b = (_region_errors(truth, points, list(group), rules, labels) for points in (first, second))
        if np.isfinite(a).any():
            errors[name] = a, b
    clusters = clusters_of(identities, len(truth))
    gaps = np.column_stack([a - b for a, b in errors.values()])
    low, high = bootstrap_interval(gaps, clusters, level)
    wins = ((gaps < 0).sum(0) + (gaps == 0).sum(0) / 2) / np.isfinite(gaps).sum(0)
    rows = [
        Difference(name, *map(float, (np.nanmean(a), np.nanmean(b), np.nanmean(gap), least, most, share)))
        for (name, (a, b)), gap, least, most, share in zip(errors.items(), gaps.T, low, high, wins, strict=True)
    ]
    return Comparison(rules, len(truth), level, "faces" if clusters is None else "identities", rows[0], tuple(rows[1:]))


def _region_errors(
    truth: NDArray[Any],
    points: NDArray[Any],
    group: list[int],
    protocol: Protocol,
    labels: Labels | None,
) -> Array:
    """Error of each face over the scored points of a group; NaN where it has none. Shape (F,)."""
    scheme, labels = Scheme.open(protocol.scheme), labels or Labels()
    errors = np.empty(len(truth))
    for start in range(0, len(truth), CHUNK):
        part = slice(start, start + CHUNK)
        true, found = (array[part, :, : protocol.dims] for array in (truth, points))
        given = labels.boxes[part] if labels.boxes is not None and protocol.normaliser_box == "set" else None
        unit = metrics.normalisers(true, protocol.normaliser, scheme, given)
        mask = scored_points(true, protocol, labels, part)[:, group]
        distance = metrics.distances(found[:, group], true[:, group])
        errors[part] = metrics.face_errors(distance, unit, mask, protocol.measure)
    return errors
