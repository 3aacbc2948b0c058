"""Errors of the runs of an ablation, on single images and on videos followed frame by frame."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from canthus.align.estimate import Estimate
from canthus.align.follow import follow
from canthus.align.stage import System
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.data.video import filled, videos_of
from canthus.errors import DataError
from canthus.evaluate.metrics import nme, normalisers
from canthus.geometry.transform import apply, compose, invert, similarity
from canthus.schemes.scheme import Scheme
from canthus.study.plan import Measure
from canthus.train.landmarks.job import earlier_of
from canthus.train.landmarks.pool import labels_in
from canthus.train.landmarks.system import join, load_trained
from canthus.types import Floats


def measure(checkpoint: Path, wanted: Measure, root: Path) -> dict[str, Any]:
    """Measure the network of a checkpoint, in fp32, from true boxes or, with a mean shape, from true points.

    Args:
        checkpoint: Checkpoint of a run, with the card of the run beside it.
        wanted: The faces to measure on; labels of another scheme are converted to that of the network.
        root: Folder of the data sets.

    Returns:
        `nme`: mean error in per cent; `faces`: number of faces.

    Raises:
        DataError: the set is missing or empty, or has no labels of visibility where they are wanted.
        ShapeError: the system has no such depth.
    """
    system = _system(checkpoint, wanted)
    scheme = Scheme.open(system.scheme)
    samples = open_set(wanted.set, root, wanted.split, **wanted.options)
    if not len(samples):
        raise DataError(f"{wanted.set} {wanted.split} has no face to measure")
    with torch.autocast("cpu", enabled=False):
        if not wanted.follow:
            pairs = _alone(system, _chosen(samples, wanted), wanted)
        elif wanted.starter is None:
            pairs = _followed(system, samples, wanted)
        else:  # runs lie as row/seed
            other = checkpoint.parent.parent.parent / wanted.starter / checkpoint.parent.name / checkpoint.name
            given = open_set(wanted.set, root, wanted.split, **(wanted.options | wanted.given))
            pairs = _followed(system, samples, wanted, _system(other, wanted), given)
    predicted, truth = (np.concatenate(column) for column in zip(*pairs, strict=True))
    scale = normalisers(truth, wanted.normaliser, scheme)
    if wanted.points != "all":
        truth = np.where(_wanted(_chosen(samples, wanted), wanted, scheme)[..., None], truth, np.nan)
        some = np.isfinite(truth).any((1, 2))
        predicted, truth, scale = predicted[some], truth[some], scale[some]
    errors = nme(predicted, truth, scale)
    if not np.isfinite(errors).all():
        lost = int((~np.isfinite(errors)).sum())
        raise DataError(f"{wanted.set} {wanted.split}: {lost} faces cannot be measured by their {wanted.normaliser}")
    return {"nme": 100 * float(errors.mean()), "faces": len(errors)}


Pair = tuple[Floats, Floats]
"""Predicted and true points, each (F, P, 2)."""


def _chosen(samples: Sequence[Sample], wanted: Measure) -> list[Sample]:
    """The faces that are measured one by one, evenly spread over a set."""
    count = min(len(samples), wanted.limit or len(samples))
    return [samples[int(place)] for place in np.linspace(0, len(samples) - 1, count).round()]


def _wanted(samples: Sequence[Sample], wanted: Measure, scheme: Scheme) -> NDArray[np.bool_]:
    """Which points of faces are measured: those of a group, or visible or hidden ones. Shape (F, P).

    Raises:
        DataError: there is no such group, or a face has no labels of visibility for its points.
    """
    count, rows = scheme.count, []
    if wanted.points in scheme.groups:
        return np.tile(np.isin(np.arange(count), scheme.groups[wanted.points]), (len(samples), 1))
    if wanted.points not in ("visible", "hidden"):
        known = ", ".join(("all", "visible", "hidden", *scheme.groups))
        raise DataError(f"{wanted.name}: scheme {scheme.name} has no points {wanted.points!r}, but {known}")
    for sample in samples:
        if sample.visible is None or sample.visible.shape != (count,):
            raise DataError(
                f"{wanted.set} {wanted.split}: {sample.image} has no labels of visibility for {count} points"
            )
        rows.append(sample.visible == (wanted.points == "visible"))
    return np.stack(rows)


def disturbed(view: View, rng: np.random.Generator) -> View:
    """Faces whose boxes are turned by up to 45 degrees, scaled by .75 to 1.25 and shifted by up to 8 % of the crop.

    [Deng et al., 2018], section IV-A; +-20 of 256 pixels, of a crop of 1.3 times the box.
    """
    count = len(view)
    angles, scales = rng.uniform(-45, 45, count), rng.uniform(0.75, 1.25, count)
    shifts = rng.uniform(-1, 1, (count, 2)) * 1.3 * 20 / 256
    changes = [
        similarity(1 / float(scale), float(angle), (float(x), float(y)))
        for angle, scale, (x, y) in zip(angles, scales, shifts, strict=True)
    ]
    return View(view.pictures, compose(np.stack(changes), view.frames))


def displaced(view: View, share: float, rng: np.random.Generator) -> View:
    """Faces whose boxes are off by a share of their longer sides: moved by it, and scaled by 1 - share to 1 + share."""
    angles, factors = rng.uniform(0, 2 * np.pi, len(view)), rng.uniform(1 - share, 1 + share, len(view))
    changes = [
        similarity(1 / float(factor), 0, (share * float(np.cos(angle)), share * float(np.sin(angle))))
        for angle, factor in zip(angles, factors, strict=True)
    ]
    return View(view.pictures, compose(np.stack(changes), view.frames))


def _alone(system: System, samples: Sequence[Sample], wanted: Measure) -> list[Pair]:
    """Points of single faces, each from its true box and points, from the box alone, or from a disturbed box."""
    pairs, rng = [], np.random.default_rng(0)
    for start in range(0, len(samples), system.batch):
        some = [_in_scheme(sample, system.scheme) for sample in samples[start : start + system.batch]]
        truth = np.stack([sample.points for sample in some])
        view = View.of_points([sample.picture() for sample in some], truth)
        moved = disturbed(view, rng) if wanted.disturbed else view
        moved, known = (displaced(moved, wanted.displaced, rng) if wanted.displaced else moved), truth
        if wanted.displaced:  # as far from the face as its box
            known = apply(compose(invert(moved.frames), view.frames), truth.astype(np.float64)).astype(np.float32)
        found = system.run(moved, None if wanted.after else Estimate.of_points(known))
        pairs.append((found.points[..., :2], truth))
    return pairs


def _system(checkpoint: Path, wanted: Measure) -> System:
    """The system of a checkpoint and of the stages before, of its recipe or of a measure, stopped after some stages."""
    trained, study = load_trained(checkpoint)[0], checkpoint.parent.parent.parent  # runs lie as row/seed
    rows = [study / name / checkpoint.parent.name / checkpoint.name for name in wanted.after]
    given = [row if row.is_file() else Path(name) for row, name in zip(rows, wanted.after, strict=True)]
    if wanted.read is not None:
        trained.net.config = _reading(trained.net.config, wanted)
    before, system = earlier_of(given or trained.recipe.earlier), join([trained])
    stages = [*(before.stages if before else ()), *system.stages]
    return System(system.name, system.scheme, stages).prefix(wanted.depth)


def _reading(config: Any, wanted: Measure) -> Any:
    """The config of a network with the reading of a measure.

    Raises:
        DataError: the network has no heatmaps that can be read in several ways.
    """
    if not hasattr(config, "read"):
        raise DataError(f"{wanted.name}: networks without the field `read` in their config have one reading")
    return replace(config, read=wanted.read)


def _followed(
    system: System,
    samples: Sequence[Sample],
    wanted: Measure,
    starter: System | None = None,
    given: Sequence[Sample] = (),
) -> list[Pair]:
    """Errors in videos: each starts from the true face of its first frame, or with a starter from the given points."""
    pairs = []
    firsts = {name: _in_scheme(video[0], system.scheme).points for name, video in videos_of(given or samples).items()}
    for name, video in videos_of(samples).items():
        frames = [_in_scheme(sample, system.scheme) for sample in filled(video)[: wanted.limit]]
        truth = np.stack([sample.points for sample in frames])
        found = follow(system, (sample.picture() for sample in frames), firsts[name], starter)
        pairs.append((np.concatenate([faces.points for faces in found]), truth))
    return pairs


def _in_scheme(sample: Sample, scheme: str) -> Sample:
    """A sample with its points (P, 2) converted to a scheme; points that it lacks are NaN."""
    return replace(sample, points=labels_in(sample, scheme)[..., :2])
