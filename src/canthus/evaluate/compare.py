"""Whether system A is better than system B on the same faces: paired differences with their bootstrap intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.evaluate import metrics
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


def bootstrap_interval(
    differences: NDArray[Any],
    clusters: NDArray[Any] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Percentile bootstrap intervals of means [Efron, 1979] that draw whole clusters.

    Frames of one video, or pictures of one person, are not independent: drawing them one by one makes the interval too
    narrow. A resample draws as many clusters as there are; its mean is over all faces of the drawn clusters.

    Args:
        differences: G quantities of each face; NaN = not known, left out of the mean. Shape (F, G), F > 0.
        clusters: Number of the cluster of each face, from 0 without gaps; None = each face is its own. Shape (F,).
        level: Confidence level, 0..1.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        Lower and upper ends. Each (G,).

    Raises:
        ShapeError: no faces, a cluster is missing, or the level is not between 0 and 1.
    """
    differences = np.asarray(differences, np.float64)
    if differences.ndim != 2 or not len(differences) or not 0 < level < 1:
        raise ShapeError(
            f"an interval needs (F, G) values and a level between 0 and 1, not {differences.shape}, {level}"
        )
    known = np.isfinite(differences)
    table = np.column_stack([np.where(known, differences, 0), known])  # (F, 2 G): sums and counts
    if clusters is not None:
        if len(clusters) != len(table) or not np.bincount(clusters).all():
            raise ShapeError("clusters are numbered from 0 without gaps, one for each face")
        table = np.column_stack([np.bincount(clusters, column) for column in table.T])
    generator, count = np.random.default_rng(seed), len(table)
    drawn = np.empty((resamples, table.shape[1]))
    for row in drawn:
        row[:] = np.bincount(generator.integers(0, count, count), minlength=count) @ table
    sums, counts = np.split(drawn, 2, axis=1)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


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
    clusters = np.unique(identities, return_inverse=True)[1] if identities else None
    if clusters is not None and clusters.max() + 1 == len(truth):
        clusters = None
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
    """Mean error of each face over the scored points of a group; NaN where it has none. Shape (F,)."""
    scheme, labels = Scheme.open(protocol.scheme), labels or Labels()
    errors = np.empty(len(truth))
    for start in range(0, len(truth), CHUNK):
        part = slice(start, start + CHUNK)
        true, found = (array[part, :, : protocol.dims] for array in (truth, points))
        given = labels.boxes[part] if labels.boxes is not None and protocol.normaliser_box == "set" else None
        unit = metrics.normalisers(true, protocol.normaliser, scheme, given)
        mask = scored_points(true, protocol, labels, part)[:, group]
        errors[part] = metrics.face_errors(metrics.distances(found[:, group], true[:, group]), unit, mask)
    return errors
