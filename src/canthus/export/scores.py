"""Calibration of scores: of each network by its log b, and of a whole system by a curve."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from canthus.align.calibration import Curve
from canthus.align.estimate import Estimate
from canthus.export.proof import Faces, faces_of, run_stages
from canthus.geometry.crop import box_of
from canthus.geometry.transform import scale_of
from canthus.nets.decode import reliability
from canthus.train.landmarks.system import Trained, join
from canthus.train.recipe import Recipe

BATCH = 32
"""Number of faces that a network sees together."""


def calibrate(trained: Trained, faces: Faces) -> float:
    """Shift of log b with which the mean reliability of points equals the share of them that are near their truth.

    Args:
        trained: A network; its first stage starts from the true points.
        faces: Labelled faces; unknown points are left out.
    """
    starts = range(0, len(faces.view), BATCH)
    parts = [_spreads(trained, faces.some(slice(start, start + BATCH))) for start in starts]
    spread, limit, error = (torch.cat(column) for column in zip(*parts, strict=True))
    near = float((error < limit).float().mean())
    low, high = -3.0, 3.0  # the mean reliability falls as log b grows
    for _ in range(40):
        middle = (low + high) / 2
        if float(reliability(spread + middle, limit).mean()) > near:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 4)


def _spreads(trained: Trained, faces: Faces) -> tuple[Tensor, Tensor, Tensor]:
    """For the points that a network finds: log b, the largest error that is near, and the error; over the crop side.

    Shape (K,) each.
    """
    view, truth, given = faces
    stage = join([trained]).stages[0]
    seen = stage.look(view, Estimate.of_points(given))
    groups, side = len(seen) // len(view), stage.crop.size
    with torch.no_grad():
        found = trained.net(torch.from_numpy(seen.cut(stage.crop)).permute(0, 3, 1, 2).float() / 255 - 0.5)
    error = np.linalg.norm(found.points.numpy() - seen.lower(np.repeat(truth, groups, 0), stage.crop), axis=-1) / side
    zoom = scale_of(seen.frames) / np.repeat(scale_of(view.frames), groups)  # of the frame against that of the box
    limit = np.broadcast_to((trained.net.config.near / stage.crop.margin * zoom)[:, None], error.shape)
    known = torch.from_numpy(np.isfinite(error))
    limits, errors = (torch.from_numpy(one.astype(np.float32))[known] for one in (limit, error))
    return found.log_spread[known], limits, errors


def curve_of(trained: Sequence[Trained], shifts: Sequence[float], recipe: Recipe, root: Path) -> Curve:
    """Calibration of the scores of a system on its validation sets, all of which have the same weight.

    Args:
        trained: The networks of the system.
        shifts: Calibration of each network.
        recipe: Names the validation sets, of which up to `CALIBRATION_FACES` faces are used each.
        root: Folder of the data sets.
    """
    system = join(trained, [one.stage_parts(calibration=shift) for one, shift in zip(trained, shifts, strict=True)])
    scores, good, weights = [], [], []
    for share in recipe.val:
        faces = faces_of(trained[-1], [share], root, spread=True)
        found, boxes = run_stages([system], trained[0], faces)[0][-1], box_of(faces.truth)
        near = trained[-1].net.config.near * (boxes[:, 2:] - boxes[:, :2]).max(1)
        error = np.linalg.norm(found.points[..., :2] - faces.truth, axis=-1)
        known = np.isfinite(error)
        scores.append(found.scores[known])
        good.append((error < near[:, None])[known])
        weights.append(np.full(known.sum(), 1 / known.sum()))
    return Curve.fit(*(np.concatenate(column) for column in (scores, good, weights)))
