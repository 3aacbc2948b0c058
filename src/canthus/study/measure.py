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
from canthus.geometry.transform import compose, similarity
from canthus.schemes.scheme import Scheme
from canthus.study.plan import Measure
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
    system = _system(checkpoint, wanted.depth)
    scheme = Scheme.open(system.scheme)
    samples = open_set(wanted.set, root, wanted.split, **wanted.options)
    if not len(samples):
        raise DataError(f"{wanted.set} {wanted.split} has no face to measure")
    with torch.autocast("cpu", enabled=False):
        if not wanted.follow:
            pairs = _alone(system, _chosen(samples, wanted), wanted.disturbed)
        elif wanted.starter is None:
            pairs = _followed(system, samples, wanted)
        else:  # runs lie as row/seed
            other = checkpoint.parent.parent.parent / wanted.starter / checkpoint.parent.name / checkpoint.name
            given = open_set(wanted.set, root, wanted.split, **(wanted.options | wanted.given))
            pairs = _followed(system, samples, wanted, _system(other, wanted.depth), given)
    predicted, truth = (np.concatenate(column) for column in zip(*pairs, strict=True))
    scale = normalisers(truth, wanted.normaliser, scheme)
    if wanted.points != "all":
        truth = np.where(_wanted(_chosen(samples, wanted), wanted, len(truth[0]))[..., None], truth, np.nan)
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


def _wanted(samples: Sequence[Sample], wanted: Measure, count: int) -> NDArray[np.bool_]:
    """Which points of faces are measured, where visible and hidden ones are told apart. Shape (F, count).

    Raises:
        DataError: a face has no such labels for its points.
    """
    rows = []
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


def _alone(system: System, samples: Sequence[Sample], disturb: bool) -> list[Pair]:
    """Points of single faces, each from its true box and points, or from a disturbed box."""
    pairs, rng = [], np.random.default_rng(0)
    for start in range(0, len(samples), system.batch):
        some = [_in_scheme(sample, system.scheme) for sample in samples[start : start + system.batch]]
        truth = np.stack([sample.points for sample in some])
        view = View.of_points([sample.picture() for sample in some], truth)
        found = system.run(disturbed(view, rng) if disturb else view, Estimate.of_points(truth))
        pairs.append((found.points[..., :2], truth))
    return pairs


def _system(checkpoint: Path, depth: int | None) -> System:
    """The system of a checkpoint and of the earlier stages that its recipe names, stopped after some stages."""
    trained = load_trained(checkpoint)[0]
    return join([*(load_trained(path)[0] for path in trained.recipe.earlier), trained]).prefix(depth)


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
