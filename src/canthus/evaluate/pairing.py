"""Finds the prediction of each true face, by image name and position."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError
from canthus.evaluate.table import Table

ENDINGS = frozenset(["bmp", "gif", "jpeg", "jpg", "pgm", "png", "ppm", "pts", "tif", "tiff", "webp"])
"""Extensions that are not part of an image's name."""


def paired(predictions: Table, truth: Table) -> Table:
    """The predictions in the order of the true faces; NaN where there is none.

    Images are matched by name: without extensions, the shorter path must be the end of the longer one. Where an image
    has several faces, those with the nearest centres are paired. If either table has no names, the order decides.

    Args:
        predictions: Predicted points of the same scheme.
        truth: F faces.

    Raises:
        DataError: the names are ambiguous or match nowhere, or the numbers of faces differ where the order decides.
    """
    if not predictions.images or not truth.images:
        if len(predictions) != len(truth):
            raise DataError(
                f"{len(predictions)} predictions and {len(truth)} true faces cannot be paired by their order; "
                "name the images in both files"
            )
        return predictions
    if predictions.images == truth.images and len(set(truth.images)) == len(truth):
        return predictions
    rows = np.full(len(truth), -1, np.intp)
    for known, given in _matches(predictions.images, truth.images):
        _nearest(rows, known, given, predictions.points, truth.points)
    if (rows < 0).all():
        raise DataError(
            f"no prediction has the name of an image of the truth, as {predictions.images[0]!r} and {truth.images[0]!r}"
        )

    def ordered(values: NDArray[Any], empty: float = np.nan) -> NDArray[Any]:
        shape = (slice(None), *([None] * (values.ndim - 1)))
        return np.where((rows >= 0)[shape], values[np.maximum(rows, 0)], empty).astype(values.dtype)

    scores = None if predictions.scores is None else ordered(predictions.scores)
    return replace(truth, points=ordered(predictions.points), scores=scores, boxes={}, visible=None, yaw=None)


def _matches(predicted: Sequence[str], true: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    """Indices of the true faces and of the predictions of each image."""
    stems: dict[str, dict[tuple[str, ...], list[int]]] = {}
    for number, name in enumerate(predicted):
        parts = _parts(name)
        stems.setdefault(parts[-1], {}).setdefault(parts, []).append(number)
    wanted: dict[tuple[str, ...], list[int]] = {}
    for number, name in enumerate(true):
        wanted.setdefault(_parts(name), []).append(number)
    pairs: list[tuple[list[int], list[int]]] = []
    taken: dict[tuple[str, ...], int] = {}
    for parts, known in wanted.items():
        same = stems.get(parts[-1], {})
        found = [parts] if parts in same else [other for other in same if _ends(parts, other)]
        if len(found) > 1:
            raise DataError(
                f"{true[known[0]]!r} matches {len(found)} of the predicted images; give more of their paths"
            )
        if found:
            if found[0] in taken:
                first, second = true[taken[found[0]]], true[known[0]]
                raise DataError(
                    f"the prediction of {'/'.join(found[0])!r} matches {first!r} and {second!r}; give more of its path"
                )
            taken[found[0]] = known[0]
            pairs.append((known, same[found[0]]))
    return pairs


def _nearest(
    rows: NDArray[np.intp], known: list[int], given: list[int], predicted: NDArray[Any], true: NDArray[Any]
) -> None:
    """Set in `rows` the nearest prediction of each true face of one image, assigned from the nearest pair on."""
    if len(known) == len(given) == 1:
        rows[known[0]] = given[0]
        return
    with np.errstate(invalid="ignore"):
        here, there = (_centre(points) for points in (true[known], predicted[given]))
    gap = np.linalg.norm(here[:, None] - there[None], axis=-1)
    order = gap.ravel().argsort(kind="stable")[: np.isfinite(gap).sum()]
    faces, candidates = np.unravel_index(order, gap.shape)
    open_faces, free = np.ones(len(known), np.bool_), np.ones(len(given), np.bool_)
    for face, candidate in zip(faces.tolist(), candidates.tolist(), strict=True):
        if open_faces[face] and free[candidate]:
            rows[known[face]] = given[candidate]
            open_faces[face] = free[candidate] = False


def _centre(points: NDArray[Any]) -> NDArray[Any]:
    plane = points[..., :2]
    seen = ~np.isnan(plane).any(-1, keepdims=True)
    centre: NDArray[Any] = np.where(seen, plane, 0).sum(1) / seen.sum(1)
    return centre


def _parts(name: str) -> tuple[str, ...]:
    path = name.replace("\\", "/")
    stem, dot, ending = path.rpartition(".")
    parts = (stem if dot and ending.lower() in ENDINGS else path).split("/")
    return tuple(part for part in parts if part not in ("", ".")) or (name,)


def _ends(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    size = min(len(one), len(other))
    return one[-size:] == other[-size:]
