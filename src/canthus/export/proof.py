"""Proof that ONNX Runtime gives what torch gives, stage by stage, on the crops that the running system makes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from canthus.align.estimate import Estimate
from canthus.align.stage import System
from canthus.align.view import View
from canthus.errors import CanthusError, DataError
from canthus.geometry.pose import turn_between
from canthus.geometry.transform import scale_of
from canthus.runtime.session import Session
from canthus.train.landmarks.pool import labels_in, measured_faces
from canthus.train.landmarks.system import Trained, join
from canthus.train.recipe import SetShare
from canthus.types import Backend, Floats

TOLERANCES = {"points": 0.05, "scores": 0.01, "pose": 0.1}
"""Largest differences of the results of torch and ONNX Runtime: pixels of the crop, probability, degrees."""
OTHER_CELLS = 0.01
"""Largest share of points that may differ by more where a network reads the highest cell: of two cells that are equally
high, up to rounding, each engine may take another."""
CALIBRATION_FACES = 256
"""Number of faces on which networks are compared and calibrated."""


class Faces(NamedTuple):
    """Faces on which a system is compared and calibrated.

    Attributes:
        view: The faces in the frames of their true boxes. N of them.
        truth: Their true points in the picture. Shape (N, P, 2).
        given: Points from which a first stage starts. Shape (N, Q, 2).
    """

    view: View
    truth: Floats
    given: Floats

    def some(self, rows: slice) -> "Faces":
        """Some of the faces."""
        return Faces(self.view[rows], self.truth[rows], self.given[rows])


def faces_of(trained: Trained, shares: Sequence[SetShare], root: Path, spread: bool = False) -> Faces:
    """Up to `CALIBRATION_FACES` labelled faces of some sets as a network sees them, the first or evenly spread ones."""
    faces = [
        (sample, start)
        for share in shares
        for sample, start in zip(*measured_faces(share, root, trained.scheme, trained.network.given), strict=True)
    ]
    if not faces:
        raise DataError(f"{', '.join(share.name for share in shares)}: no face has landmarks; name other sets")
    count = min(len(faces), CALIBRATION_FACES)
    rows = np.linspace(0, len(faces) - 1, count).round().astype(int) if spread else range(count)
    samples, given = zip(*(faces[row] for row in rows), strict=True)
    truth = np.stack([labels_in(sample, trained.scheme)[..., :2] for sample in samples])
    return Faces(View.of_points([sample.picture() for sample in samples], truth), truth, np.stack(given))


class Recorder:
    """A `Backend` that keeps its inputs."""

    def __init__(self, engine: Backend, inputs: Sequence[str]) -> None:
        self.engine, self.inputs = engine, inputs
        self.batches: list[Sequence[NDArray[Any]]] = []

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        """See `Backend.run`."""
        self.batches.append(inputs)
        return self.engine.run(*inputs)

    def record(self) -> dict[str, NDArray[Any]]:
        """All inputs by name, over all batches."""
        columns = zip(*self.batches, strict=True)
        return {name: np.concatenate(column) for name, column in zip(self.inputs, columns, strict=True)}


def record(trained: Sequence[Trained], shifts: Sequence[float], faces: Faces) -> dict[str, dict[str, NDArray[Any]]]:
    """Inputs of every part of a system when the system runs over torch: part -> input -> array.

    Args:
        trained: The networks of the system.
        shifts: Calibration of each network.
        faces: Faces that the system runs on.
    """
    recorders: dict[str, Recorder] = {}
    stages = []
    for one, shift in zip(trained, shifts, strict=True):
        made = one.stage_parts(calibration=shift)
        inputs = {part.name: part.inputs for part in one.parts(shift)}
        for name, stage in made.items():
            wrapped = {part: Recorder(engine, inputs[part]) for part, engine in stage.networks.items()}
            recorders |= wrapped
            made[name] = stage._replace(networks=wrapped)
        stages.append(made)
    run_stages([join(trained, stages)], trained[0], faces)
    return {name: recorder.record() for name, recorder in recorders.items()}


def run_stages(systems: Sequence[System], first: Trained, faces: Faces) -> list[list[Estimate]]:
    """Estimates of each stage of systems that differ in their engines.

    Every stage starts from what the first system found before it, and sees the frames that it sees there, since a crop
    that is cut anew a hundredth of a pixel apart has other rounded pixels. A first stage that aligns crops to a mean
    shape starts from the given points.

    Args:
        systems: The systems.
        first: The network of their first stage.
        faces: Faces that they run on.

    Returns:
        For each system the estimate of each of its stages.
    """
    view, given = faces.view, faces.given
    batch, stages = systems[0].batch, list(zip(*(system.stages for system in systems), strict=True))
    found: list[list[list[Estimate]]] = [[[] for _ in stages] for _ in systems]
    for start in range(0, len(view), batch):
        some = slice(start, start + batch)
        estimate = Estimate.of_points(given[some]) if "mean" in first.arrays else None
        for place, same in enumerate(stages):
            seen = same[0].look(view[some], estimate)
            answers = [stage.solve(seen, estimate) for stage in same]
            for rows, answer in zip(found, answers, strict=True):
                rows[place].append(replace(answer, state={}))
            estimate = answers[0]
    return [[_joined(parts) for parts in rows] for rows in found]


def _joined(parts: Sequence[Estimate]) -> Estimate:
    """One estimate of the faces of several."""
    points, scores, pose = (
        np.concatenate([getattr(one, name) for one in parts]) for name in ("points", "scores", "pose")
    )
    return Estimate(points, scores, pose)


def prove(trained: Sequence[Trained], shifts: Sequence[float], models: Mapping[str, bytes], faces: Faces) -> float:
    """Largest distance, in pixels of the crop, between the points of torch and of ONNX Runtime in any stage.

    Where a network reads the highest cell, it is that of the points for which both take the same cell.

    Args:
        trained: The networks of the system in torch.
        shifts: Calibration of each network.
        models: ONNX bytes of each part by name.
        faces: Faces that the system runs on.

    Raises:
        CanthusError: a result differs by more than `TOLERANCES` allow.
    """
    sessions: dict[str, Backend] = {name: Session(model, threads=0) for name, model in models.items()}
    return max(_gap(some, parts, sessions, faces) for some, parts in _rows(trained, shifts))


def _rows(trained: Sequence[Trained], shifts: Sequence[float]) -> Iterator[tuple[Sequence[Trained], Sequence[float]]]:
    """The whole system, and alone each network without a stage of its own, as one that turns the crops of another."""
    yield trained, shifts
    names = {stage.name for stage in join(trained).stages}
    for one, shift in zip(trained, shifts, strict=True):
        if one.first not in names:
            yield [one], [shift]


def _gap(trained: Sequence[Trained], shifts: Sequence[float], sessions: Mapping[str, Backend], faces: Faces) -> float:
    """As `prove`, of the engines of a system."""
    over_torch = join(trained, [one.stage_parts(calibration=shift) for one, shift in zip(trained, shifts, strict=True)])
    over_onnx = join(trained, [one.stage_parts(sessions) for one in trained])
    by_cell = {part.stage for one in trained if _reads_cells(one) for part in one.parts()}
    gaps = dict.fromkeys(TOLERANCES, 0.0)
    rows = run_stages([over_torch, over_onnx], trained[0], faces)
    for stage, ours, theirs in zip(over_torch.stages, *rows, strict=True):
        scale = scale_of(faces.view.matrices(stage.crop))[:, None]
        apart = np.linalg.norm(ours.points - theirs.points, axis=-1) * scale
        gaps["points"] = max(gaps["points"], _worst(same_cells(apart) if stage.name in by_cell else apart))
        gaps["scores"] = max(gaps["scores"], _worst(np.abs(ours.scores - theirs.scores)))
        gaps["pose"] = max(gaps["pose"], _worst(turn_between(ours.pose, theirs.pose)))
    if any(gaps[name] > most for name, most in TOLERANCES.items()):
        found = ", ".join(f"{name} by {gap:.4f}" for name, gap in gaps.items())
        raise CanthusError(
            f"torch and ONNX Runtime differ: {found}; no bundle was written: try another version of onnxruntime"
        )
    return gaps["points"]


def _reads_cells(one: Trained) -> bool:
    """Whether a network reads its points from the highest cells of its maps."""
    return getattr(one.net.config, "read", "expectation") != "expectation"


def same_cells(apart: Floats) -> Floats:
    """Distances between the points of two engines, without those in other cells if these are few (`OTHER_CELLS`)."""
    same = apart[~(apart > TOLERANCES["points"])]
    return same if apart.size - same.size <= OTHER_CELLS * apart.size else apart


def _worst(values: NDArray[Any]) -> float:
    """Largest value that is not NaN; 0 if there is none."""
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else 0.0
