"""From a checkpoint of the detector or of the face score to a bundle; ONNX Runtime must agree with torch."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from canthus.errors import CanthusError
from canthus.export.card import licence_of
from canthus.export.onnx import fold_norms, halve, part_to_onnx
from canthus.export.quantise import quantise
from canthus.geometry.crop import Crop
from canthus.nets.detection.networks import DETECTION, configure
from canthus.nets.part import Part
from canthus.runtime.bundle import Card, Checkpoint, StageCard, member_of, write_bundle
from canthus.runtime.session import Session
from canthus.train.checkpoint import TorchBackend, weights_of
from canthus.train.detection.job import validation
from canthus.train.detection.recipe import RECIPES, DetectorRecipe
from canthus.train.job import Post
from canthus.train.recipe import SetShare, check_run
from canthus.train.run_card import RunCard
from canthus.work.files import replace_whole

TOLERANCE = 0.05
"""Largest difference of the outputs of torch and ONNX Runtime, in their own units."""


def kind_of(checkpoint: Path) -> str:
    """Stem of the network in a checkpoint, from the card beside it.

    Raises:
        InputError: there is no card.
    """
    return str(RunCard.beside(checkpoint).recipe["network"])


def export_faces(
    checkpoint: Path, out: Path, measured: Sequence[dict[str, Any]] = (), calibration: Path | None = None
) -> Card:
    """Make a bundle of a checkpoint.

    Args:
        checkpoint: `best.ckpt` or `last.ckpt` of a run; the run's `card.json` lies beside it.
        out: The bundle to write, whole or not at all.
        measured: Figures for the card, each with its protocol.
        calibration: Folder of the data sets: the int8 variant of the detector is calibrated on the pictures of
            validation; None = no int8 variant. The face score has none.

    Returns:
        The card.

    Raises:
        DataError: a set of validation is missing.
        InputError: no checkpoint or run card.
        CanthusError: ONNX Runtime does not give what torch gives.
    """
    run = RunCard.beside(checkpoint)
    recipe = check_run(RECIPES[run.recipe["network"]], run.recipe, str(checkpoint.parent / "card.json"))
    network = DETECTION[recipe.network]
    net = network.build(configure(recipe.network, recipe.preset, recipe.config))
    net.load_state_dict(weights_of(checkpoint))
    (part,) = network.parts(fold_norms(net).eval())
    size = recipe.phases[-1].size
    exact = to_onnx(part, size, open_size=network.open_size)
    model = halve(exact)
    gap = prove(part, model, [(size, size), (size, size + 32)] if network.open_size else [(size, size)])
    models = {"fp32": model}
    if calibration and isinstance(recipe, DetectorRecipe):
        models["int8"] = quantise(exact, {part.inputs[0]: _calibration(recipe, calibration)})
    files = {f"{part.name}-{kind}.onnx": data for kind, data in models.items()}
    config: Any = net.config
    shares = [*recipe.sets, *(recipe.faceless if isinstance(recipe, DetectorRecipe) else [])]
    digest, facts = hashlib.sha256(checkpoint.read_bytes()).hexdigest(), run.lineage() | {"parity": round(gap, 5)}
    described = facts.pop("recipe")
    stage = StageCard(
        name=part.name,
        scheme="5",
        points=5,
        crop=None if network.open_size else Crop(config.size, config.margin),
        parts={part.name: {kind: member_of(f"{part.name}-{kind}.onnx", data) for kind, data in models.items()}},
        checkpoint=recipe.network,
    )
    card = Card(
        name=recipe.name,
        system=recipe.network,
        stages=[stage],
        checkpoints={recipe.network: Checkpoint(sha256=digest, recipe=described, training=facts)},
        paper=network.paper,
        data=[f"{share.name} {share.split}" for share in shares],
        measured=list(measured),
        licence=licence_of([share.name for share in shares]),
        limits=["faces with a box below 20 pixels", _profiles(recipe.sets)],
    )
    with replace_whole(out) as temporary:
        write_bundle(temporary, card, files)
    return card


def _calibration(recipe: DetectorRecipe, root: Path) -> NDArray[np.uint8]:
    """The mosaics of validation at all angles. Shape (N, S, S, 3)."""
    scenes, _ = validation(recipe, Post(root, Path(), 0, 0))
    return np.stack([scene.image for some in scenes.values() for scene in some])


def _profiles(shares: Sequence[SetShare]) -> str:
    """Limit of a card: where the profile faces of the training data come from."""
    if any(share.split.startswith("train/profile") for share in shares):
        return "profiles in the training data are portraits with five points"
    made = any(share.name.startswith("views:") for share in shares)
    return f"profiles in the training data are {'views that the data factory rotated' if made else 'scarce'}"


def to_onnx(part: Part, size: int, *, open_size: bool) -> bytes:
    """ONNX bytes of a part.

    Args:
        part: What is exported; takes pictures (N, H, W, 3).
        size: Side of the pictures.
        open_size: Whether H and W stay open, as N does; else both are `size`.
    """
    count = torch.export.Dim("pictures")
    shape: dict[int, Any] = {0: count}
    if open_size:
        shape |= {1: 32 * torch.export.Dim("rows", min=2), 2: 32 * torch.export.Dim("columns", min=2)}
    side = max(size, 96)
    pictures = np.zeros((2, side, side + 32, 3) if open_size else (2, size, size, 3), np.uint8)
    return part_to_onnx(part, {part.inputs[0]: pictures}, (shape,))


def prove(part: Part, model: bytes, sides: Sequence[tuple[int, int]]) -> float:
    """Largest difference between the outputs of torch and ONNX Runtime for the same pictures.

    Args:
        part: The network in torch.
        model: Its ONNX bytes.
        sides: Heights and widths of the pictures.

    Raises:
        CanthusError: it is more than `TOLERANCE`, relative to the largest output where that is above 1.
    """
    rng, session, worst = np.random.default_rng(0), Session(model, threads=0), 0.0
    for height, width in sides:
        pictures: NDArray[np.uint8] = rng.integers(0, 256, (3, height, width, 3), np.uint8)
        ours = TorchBackend(part.module, part.outputs).run(pictures)
        theirs = session.run(pictures)
        for name, value in ours.items():
            gap = float(np.abs(value - theirs[name]).max()) / max(1.0, float(np.abs(value).max()))
            worst = max(worst, gap)
    if worst > TOLERANCE:
        raise CanthusError(
            f"torch and ONNX Runtime differ by {worst:.4f} in the outputs of {part.name}, more than {TOLERANCE}; "
            "no bundle was written: try another version of onnxruntime"
        )
    return worst
