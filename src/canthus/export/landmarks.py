"""From the checkpoints of a system of landmarks to a bundle.

ONNX Runtime must give what torch gives. This is checked, and int8 networks are calibrated, on the crops that the
running system makes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from canthus.align.calibration import Curve
from canthus.align.estimate import Estimate
from canthus.align.stage import System
from canthus.align.view import View
from canthus.errors import CanthusError
from canthus.export.card import licence_of, limits_of
from canthus.export.onnx import fold_norms, halve, part_to_onnx
from canthus.export.quantise import quantise
from canthus.geometry.crop import box_of
from canthus.geometry.pose import turn_between
from canthus.geometry.transform import scale_of
from canthus.nets.decode import reliability
from canthus.runtime.bundle import Card, Checkpoint, Precision, StageCard, member_of, pack_arrays, write_bundle
from canthus.runtime.session import Session
from canthus.schemes.scheme import SCHEMES, Scheme
from canthus.train.landmarks.pool import labels_in, measured_faces
from canthus.train.landmarks.system import Trained, averaged, join, load_trained, with_margin
from canthus.train.recipe import Recipe, SetShare, check_recipe
from canthus.train.run_card import RunCard
from canthus.train.tree import override
from canthus.types import Backend, Floats
from canthus.work.files import replace_whole

TOLERANCES = {"points": 0.05, "scores": 0.01, "pose": 0.1}
"""Largest differences of the results of torch and ONNX Runtime: pixels of the crop, probability, degrees."""
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


def export(
    checkpoints: Sequence[Path],
    root: Path,
    out: Path,
    *,
    int8: bool = True,
    margin: float | None = None,
    measured: Sequence[dict[str, Any]] = (),
    changes: Sequence[str] = (),
    average: bool = False,
) -> Card:
    """Make a bundle of the checkpoints of a system.

    Args:
        checkpoints: `best.ckpt` or `last.ckpt` of the run of each network of the system, in the order of its stages;
            the run's `card.json` lies beside each.
        root: Folder of the data sets; int8 networks are calibrated on training faces, all others checked on validation
            faces.
        out: Bundle to write.
        int8: Add the int8 variant.
        margin: Crop margin at run time: side of the crop over the longer side of the box; None = that of the training.
        measured: Measured errors for the card, each with its protocol.
        changes: Changes "a.b=c" of the recipes, as of `val`, on which scores are calibrated; not in the card.
        average: Make one network of the checkpoints, whose weights are the means of theirs (`averaged`).

    Returns:
        The card.

    Raises:
        InputError: no checkpoint or run card, or the checkpoints do not make a system.
        CanthusError: ONNX Runtime does not give what torch gives.
    """
    networks, runs = map(list, zip(*(load_trained(path) for path in checkpoints), strict=True))
    networks = [averaged(networks)] if average else networks
    trained = [with_margin(one, margin) for one in networks]
    recipe, proofs = _changed(networks[-1].recipe, changes), [_proof(one, changes, root) for one in trained]
    shifts, proof = [calibrate(one, faces) for one, faces in zip(trained, proofs, strict=True)], proofs[-1]
    folded = [replace(one, net=fold_norms(one.net).eval()) for one in trained]
    folded[-1] = replace(last := folded[-1], arrays={**last.arrays, **curve_of(folded, shifts, recipe, root).arrays()})
    calibration = faces_of(trained[-1], recipe.sets, root, spread=True) if int8 else None
    models, gap = _networks(folded, shifts, proof, calibration)
    contents = models | {f"{one.first}.npz": pack_arrays(one.arrays) for one in folded if one.arrays}
    entries = _entries(checkpoints, runs, [{"parity_px": round(gap, 5), "calibration": shift} for shift in shifts])
    stages = [stage for one, shift in zip(folded, shifts, strict=True) for stage in _stages(one, shift, contents)]
    card = Card(
        name=recipe.name,
        system=recipe.network,
        stages=stages,
        schemes={stage.scheme: Scheme.open(stage.scheme).definition for stage in stages if stage.scheme not in SCHEMES},
        checkpoints={one.first: entry for one, entry in zip(folded, entries, strict=True)},
        paper=folded[-1].network.paper,
        data=list(dict.fromkeys(f"{share.source} {share.split}" for one in folded for share in one.recipe.sets)),
        measured=list(measured),
        licence=licence_of([share.source for one in folded for share in one.recipe.sets]),
        limits=limits_of(runs),
    )
    with replace_whole(out) as temporary:
        write_bundle(temporary, card, contents)
    return card


def _networks(
    folded: Sequence[Trained], shifts: Sequence[float], proof: Faces, calibration: Faces | None
) -> tuple[dict[str, bytes], float]:
    """The ONNX files of a system by name, and the largest difference from torch (`prove`).

    Args:
        folded: The networks of the system, norms folded.
        shifts: Calibration of the reliabilities of each network.
        proof: Faces on which ONNX Runtime must give what torch gives.
        calibration: Faces on which int8 variants are calibrated; None = there are none.
    """
    records = record(folded, shifts, proof)
    parts = [part for one, shift in zip(folded, shifts, strict=True) for part in one.parts(shift)]
    models = {part.name: part_to_onnx(part, _some(records[part.name]), _open(part.inputs)) for part in parts}
    networks = {f"{name}-fp32.onnx": halve(model) for name, model in models.items()}
    gap = prove(folded, shifts, {part.name: networks[f"{part.name}-fp32.onnx"] for part in parts}, proof)
    if calibration is not None:
        used = record(folded, shifts, calibration)
        networks |= {f"{name}-int8.onnx": quantise(model, used[name]) for name, model in models.items()}
    return networks, gap


def _entries(checkpoints: Sequence[Path], runs: Sequence[RunCard], facts: Sequence[dict[str, Any]]) -> list[Checkpoint]:
    """Entries of the card for networks, with facts about each; that of an averaged one names all its runs."""
    if len(facts) == len(runs):
        return [_checkpoint(*each) for each in zip(checkpoints, runs, facts, strict=True)]
    first, *others = (_checkpoint(path, run, facts[0]) for path, run in zip(checkpoints, runs, strict=True))
    return [first.model_copy(update={"training": first.training | {"averaged": [one.model_dump() for one in others]}})]


def _proof(trained: Trained, changes: Sequence[str], root: Path) -> Faces:
    """Faces of the first validation set of a network, whose recipe is changed."""
    return faces_of(trained, _changed(trained.recipe, changes).val[:1], root)


def _changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """A recipe with changes "a.b=c".

    Raises:
        RecipeError: a change does not fit.
    """
    tree = recipe.model_dump(mode="json")
    for change in changes:
        override(tree, change)
    return check_recipe(tree, "--set")


def _checkpoint(path: Path, run: RunCard, facts: dict[str, Any]) -> Checkpoint:
    """Entry of the card for a checkpoint: its run, and further facts by name."""
    kept = {name: value for name, value in run.lineage().items() if name != "recipe"}
    return Checkpoint(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), recipe=run.recipe, training=kept | facts)


def _stages(trained: Trained, shift: float, contents: Mapping[str, bytes]) -> list[StageCard]:
    """Entries of the card for the stages of a network, with their files."""
    kinds: tuple[Precision, ...] = ("fp32", "int8")
    arrays = f"{trained.first}.npz"
    stages = []
    for name in dict.fromkeys(part.stage for part in trained.parts(shift)):
        files = {
            part.name: {
                kind: member_of(file, contents[file])
                for kind in kinds
                if (file := f"{part.name}-{kind}.onnx") in contents
            }
            for part in trained.parts(shift)
            if part.stage == name
        }
        stages.append(
            StageCard(
                name=name,
                scheme=trained.scheme,
                points=Scheme.open(trained.scheme).count,
                crop=trained.crop,
                parts=files,
                arrays=member_of(arrays, contents[arrays]) if arrays in contents else None,
                checkpoint=trained.first,
            )
        )
    return stages


def faces_of(trained: Trained, shares: Sequence[SetShare], root: Path, spread: bool = False) -> Faces:
    """Up to `CALIBRATION_FACES` labelled faces of some sets as a network sees them, the first or evenly spread ones."""
    faces = [
        (sample, start)
        for share in shares
        for sample, start in zip(*measured_faces(share, root, trained.scheme, trained.network.given), strict=True)
    ]
    step = max(1, len(faces) // CALIBRATION_FACES) if spread else 1
    samples, given = zip(*faces[::step][:CALIBRATION_FACES], strict=True)
    truth = np.stack([labels_in(sample, trained.scheme)[..., :2] for sample in samples])
    return Faces(View.of_points([sample.picture() for sample in samples], truth), truth, np.stack(given))


def calibrate(trained: Trained, faces: Faces) -> float:
    """Shift of log b with which the mean reliability of points equals the share of them that are near their truth.

    Args:
        trained: A network; its first stage starts from the true points.
        faces: Labelled faces; unknown points are left out.
    """
    view, truth, given = faces
    stage = join([trained]).stages[0]
    seen = stage.look(view, Estimate.of_points(given))
    groups = len(seen) // len(view)
    crops = torch.from_numpy(seen.cut(stage.crop)).permute(0, 3, 1, 2).float() / 255 - 0.5
    with torch.no_grad():
        if groups > 1:
            found = trained.net(crops, torch.arange(len(seen)) % groups)
        else:
            found = trained.net(crops)
    error = np.linalg.norm(found.points.numpy() - seen.lower(np.repeat(truth, groups, 0), stage.crop), axis=-1)
    limit = trained.net.config.near / stage.crop.margin
    known = np.isfinite(error)
    near = float((error[known] < limit * stage.crop.size).mean())
    low, high = -3.0, 3.0  # the mean reliability falls as log b grows
    for _ in range(40):
        middle = (low + high) / 2
        if float(reliability(found.log_spread + middle, limit)[torch.from_numpy(known)].mean()) > near:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 4)


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

    Every stage starts from what the first system found before it, since a crop that is cut anew a hundredth of a pixel
    apart has other rounded pixels. A first stage that aligns crops to a mean shape starts from the given points.

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
            answers = [stage(view[some], estimate) for stage in same]
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

    Args:
        trained: The networks of the system in torch.
        shifts: Calibration of each network.
        models: ONNX bytes of each part by name.
        faces: Faces that the system runs on.

    Raises:
        CanthusError: a result differs by more than `TOLERANCES` allow.
    """
    sessions: dict[str, Backend] = {name: Session(model, threads=0) for name, model in models.items()}
    over_torch = join(trained, [one.stage_parts(calibration=shift) for one, shift in zip(trained, shifts, strict=True)])
    over_onnx = join(trained, [one.stage_parts(sessions) for one in trained])
    gaps = dict.fromkeys(TOLERANCES, 0.0)
    rows = run_stages([over_torch, over_onnx], trained[0], faces)
    for stage, ours, theirs in zip(over_torch.stages, *rows, strict=True):
        scale = scale_of(faces.view.matrices(stage.crop))[:, None]
        gaps["points"] = max(gaps["points"], _worst(np.linalg.norm(ours.points - theirs.points, axis=-1) * scale))
        gaps["scores"] = max(gaps["scores"], _worst(np.abs(ours.scores - theirs.scores)))
        gaps["pose"] = max(gaps["pose"], _worst(turn_between(ours.pose, theirs.pose)))
    if any(gaps[name] > most for name, most in TOLERANCES.items()):
        found = ", ".join(f"{name} by {gap:.4f}" for name, gap in gaps.items())
        raise CanthusError(
            f"torch and ONNX Runtime differ: {found}; no bundle was written: try another version of onnxruntime"
        )
    return gaps["points"]


def _worst(values: NDArray[Any]) -> float:
    """Largest value that is not NaN; 0 if there is none."""
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else 0.0


def _some(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Two rows of every input, as an example for the exporter."""
    return {name: array[:2] for name, array in inputs.items()}


def _open(inputs: Sequence[str]) -> tuple[dict[int, Any], ...]:
    """Dynamic axes for the exporter: the number of faces of every input."""
    faces = torch.export.Dim("faces")
    return tuple({0: faces} for _ in inputs)
