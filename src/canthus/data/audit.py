"""Audit of a data set: points outside the picture, missing points and other oddities that its reader accepts."""

from collections.abc import Iterator, Sequence

import numpy as np

from canthus.data.sample import Sample
from canthus.errors import CanthusError
from canthus.geometry.crop import box_of


def audit(samples: Sequence[Sample]) -> Iterator[str]:
    """Read all labels and pictures of a set, and report what is wrong or unusual.

    Args:
        samples: Samples of a set.

    Yields:
        One sentence per finding: labels or a picture that cannot be read, points that are missing or outside the
        picture (expected where the border cuts a face; a whole face outside is a broken label), or a face without area.
    """
    for index in range(len(samples)):
        try:
            sample = samples[index]
            height, width = sample.picture().shape[:2]
        except CanthusError as error:
            yield str(error)
            continue
        yield from (f"{sample.image}: {finding}" for finding in _findings(sample, width, height))


def _findings(sample: Sample, width: int, height: int) -> Iterator[str]:
    points = sample.points[:, :2]
    known = np.isfinite(points).all(1)
    if not known.all():
        yield f"{np.count_nonzero(~known)} of {len(points)} points are not annotated"
    if known.sum() < 2:
        return
    x0, y0, x1, y1 = box_of(points[known])
    if x1 <= x0 or y1 <= y0:
        yield "the face has no area"
    # the picture reaches half a pixel beyond the centres of its outermost pixels
    beyond = np.stack([-0.5 - points, points - (width - 0.5, height - 0.5)]).max((0, 2))
    outside = np.flatnonzero(np.where(known, beyond, 0) > 0)
    if len(outside) == known.sum():
        yield f"the whole face lies outside the picture ({width} x {height}); the label is broken"
    elif len(outside):
        worst = outside[beyond[outside].argmax()]
        by = f"point {worst} by {beyond[worst]:.1f} px"
        yield f"{len(outside)} points lie outside the picture ({width} x {height}), {by}"
