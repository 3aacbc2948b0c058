"""From the checkpoints of a system of landmarks to a bundle.

ONNX Runtime must give what torch gives. This is checked, and int8 networks are calibrated, on the crops that the
running system makes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from canthus.export.card import licence_of, limits_of
from canthus.export.onnx import fold_norms, halve, part_to_onnx
from canthus.export.proof import Faces, faces_of, prove, record
from canthus.export.quantise import quantise
from canthus.export.scores import calibrate, curve_of
from canthus.runtime.bundle import Card, Checkpoint, Precision, StageCard, member_of, pack_arrays, write_bundle
from canthus.schemes.scheme import SCHEMES, Scheme
from canthus.train.landmarks.system import Trained, averaged, load_trained, with_margin
from canthus.train.recipe import Recipe, check_recipe
from canthus.train.run_card import RunCard
from canthus.train.tree import override
from canthus.work.files import replace_whole


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
    kept = run.lineage()
    recipe = kept.pop("recipe")
    return Checkpoint(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), recipe=recipe, training=kept | facts)


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


def _some(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Two rows of every input, as an example for the exporter."""
    return {name: array[:2] for name, array in inputs.items()}


def _open(inputs: Sequence[str]) -> tuple[dict[int, Any], ...]:
    """Dynamic axes for the exporter: the number of faces of every input."""
    faces = torch.export.Dim("faces")
    return tuple({0: faces} for _ in inputs)
