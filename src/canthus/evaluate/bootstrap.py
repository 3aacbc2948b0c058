"""Bootstrap intervals of mean errors, which respect that pictures of one person are not independent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError

Array = NDArray[np.float64]

RESAMPLES = 2000
"""Number of resamples of an interval."""


def clusters_of(identities: Sequence[str], faces: int) -> NDArray[np.intp] | None:
    """Numbers of the identities, from 0 without gaps; None where no two faces are known to share one.

    Args:
        identities: Person or source picture of each face; empty = not known: an identity of its own.
        faces: Number of faces.
    """
    if not identities:
        return None
    names = [name or f"\0{row}" for row, name in enumerate(identities)]
    clusters: NDArray[np.intp] = np.unique(names, return_inverse=True)[1]
    return None if clusters.max() + 1 == faces else clusters


def resampled_means(
    values: NDArray[Any], clusters: NDArray[Any] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Array:
    """Means of bootstrap resamples [Efron, 1979] that draw whole clusters.

    Frames of one video, or pictures of one person, are not independent: drawing them one by one makes the interval too
    narrow. A resample draws as many clusters as there are; its mean is over all faces of the drawn clusters.

    Args:
        values: G quantities of each face; NaN = not known, left out of the mean. Shape (F, G), F > 0.
        clusters: Number of the cluster of each face, from 0 without gaps; None = each face is its own. Shape (F,).
        resamples: R, the number of resamples.
        seed: Seed of the draws.

    Returns:
        Mean of each quantity in each resample; NaN where the resample has no value. Shape (R, G).

    Raises:
        ShapeError: no faces, or a cluster is missing.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not len(values):
        raise ShapeError(f"a bootstrap needs (F, G) values of at least one face, not {values.shape}")
    known = np.isfinite(values)
    table = np.column_stack([np.where(known, values, 0), known])  # (F, 2 G): sums and counts
    if clusters is not None:
        if len(clusters) != len(table) or not np.bincount(clusters).all():
            raise ShapeError("clusters are numbered from 0 without gaps, one for each face")
        table = np.column_stack([np.bincount(clusters, column) for column in table.T])
    generator, count = np.random.default_rng(seed), len(table)
    drawn = np.empty((resamples, table.shape[1]))
    for row in drawn:
        row[:] = np.bincount(generator.integers(0, count, count), minlength=count) @ table
    sums, counts = np.split(drawn, 2, axis=1)
    means: Array = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return means


def bootstrap_interval(
    values: NDArray[Any],
    clusters: NDArray[Any] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Percentile bootstrap intervals of means [Efron, 1979]; the arguments are those of `resampled_means`.

    Args:
        values: G quantities of each face; NaN = not known, left out of the mean. Shape (F, G), F > 0.
        clusters: Number of the cluster of each face; None = each face is its own. Shape (F,).
        level: Confidence level, 0..1.
        resamples: R, the number of resamples.
        seed: Seed of the draws.

    Returns:
        Lower and upper ends. Each (G,).

    Raises:
        ShapeError: no faces, a cluster is missing, or the level is not between 0 and 1.
    """
    return percentiles(resampled_means(values, clusters, resamples, seed), level)


def percentiles(means: NDArray[Any], level: float = 0.95) -> tuple[Array, Array]:
    """Percentile interval of resampled means.

    Args:
        means: Means of the resamples; NaN = left out. Shape (R, G).
        level: Confidence level, 0..1.

    Returns:
        Lower and upper ends. Each (G,).

    Raises:
        ShapeError: the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ShapeError(f"a confidence level lies between 0 and 1, not at {level}")
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
