"""From a checkpoint of the detector or of the face score to a bundle, with a proof of parity."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from canthus.errors import CanthusError
from canthus.export.card import licence_of
from canthus.export.onnx import fold_norms, halve, part_to_onnx
from canthus.geometry.crop import Crop
from canthus.nets import detector, face_score
from canthus.nets.network import configured
from canthus.nets.part import Part
from canthus.runtime.bundle import Card, Checkpoint, StageCard, member_of, write_bundle
from canthus.runtime.session import Session
from canthus.train.checkpoint import TorchBackend, weights_of
from canthus.train.detection.recipe import KINDS
from canthus.train.recipe import SetShare, check_run
from canthus.train.run_card import RunCard
from canthus.work.files import replace_whole

TOLERANCE = 0.05
"""How far torch and ONNX Runtime may differ: of what a cell or crop says, in its own units."""


class Kind(NamedTuple):
    """How a network becomes a bundle.

    Attributes:
        presets: Its configs.
        build: Config -> network.
        parts: Network -> what is exported.
        paper: What it implements.
        open_sides: Height and width of its pictures are open, too; multiples of 32.
    """

    presets: Mapping[str, Any]
    build: Callable[[Any], nn.Module]
    parts: Callable[[Any], tuple[Part, ...]]
    paper: str
    open_sides: bool


EXPORTS: dict[str, Kind] = {
    "detector": Kind(
        detector.PRESETS,
        detector.Detector,
        detector.parts,
        "anchor-free: Tian et al., FCOS, 2019; the network is canthus's own",
        True,
    ),
    "face_score": Kind(
        face_score.PRESETS,
        face_score.FaceScore,
        face_score.parts,
        "third stage of Zhang et al., Joint Face Detection and Alignment Using Multitask Cascaded CNNs, 2016; "
        "the network is canthus's own",
        False,
    ),
}


def kind_of(checkpoint: Path) -> str:
    """The network that a checkpoint is of, from the card beside it.

    Raises:
        InputError: there is no card.
    """
    return str(RunCard.beside(checkpoint).recipe["network"])


def export_faces(checkpoint: Path, out: Path, measured: Sequence[dict[str, Any]] = ()) -> Card:
    """Make a bundle of a checkpoint.

    Args:
        checkpoint: `best.ckpt` or `last.ckpt` of a run; the run's `card.json` lies beside it.
        out: The bundle to write, whole or not at all.
        measured: Figures for the card, each with its protocol.

    Returns:
        The card.

    Raises:
        InputError: no checkpoint or run card.
        CanthusError: ONNX Runtime does not give what torch gives.
    """
    stem = kind_of(checkpoint)
    kind, run = EXPORTS[stem], RunCard.beside(checkpoint)
    recipe = check_run(KINDS[stem], run.recipe, str(checkpoint.parent / "card.json"))
    net = kind.build(configured(kind.presets, stem, recipe.preset, recipe.config))
    net.load_state_dict(weights_of(checkpoint))
    (part,) = kind.parts(fold_norms(net).eval())
    size = recipe.phases[-1].size
    model = to_onnx(part, size, open_sides=kind.open_sides)
    network = halve(model)
    gap = prove(part, network, [(size, size), (size, size + 32)] if kind.open_sides else [(size, size)])
    file = f"{part.name}-fp32.onnx"
    config: Any = net.config
    facts = {name: value for name, value in run.lineage().items() if name != "recipe"} | {"parity": round(gap, 5)}
    stage = StageCard(
        name=part.name,
        scheme="5",
        points=5,
        crop=None if kind.open_sides else Crop(config.size, config.margin),
        parts={part.name: {"fp32": member_of(file, network)}},
        checkpoint=stem,
    )
    card = Card(
        name=recipe.name,
        system=stem,
        stages=[stage],
        checkpoints={
            stem: Checkpoint(
                sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest(), recipe=run.recipe, training=facts
            )
        },
        paper=kind.paper,
        data=[f"{share.name} {share.split}" for share in recipe.sets],
        measured=list(measured),
        licence=licence_of([share.name for share in recipe.sets]),
        limits=["faces with a box below 20 pixels", _profiles(recipe.sets)],
    )
    with replace_whole(out) as temporary:
        write_bundle(temporary, card, {file: network})
    return card


def _profiles(shares: Sequence[SetShare]) -> str:
    made = any(share.name.startswith("views:") for share in shares)
    return f"profiles in the training data are {'photographs turned by the data factory' if made else 'scarce'}"


def to_onnx(part: Part, size: int, *, open_sides: bool) -> bytes:
    """ONNX bytes for pictures (N, H, W, 3); N stays open, H and W if told."""
    count = torch.export.Dim("pictures")
    shape: dict[int, Any] = {0: count}
    if open_sides:
        shape |= {1: 32 * torch.export.Dim("rows", min=2), 2: 32 * torch.export.Dim("columns", min=2)}
    side = max(size, 96)
    pictures = np.zeros((2, side, side + 32, 3) if open_sides else (2, size, size, 3), np.uint8)
    return part_to_onnx(part, {part.inputs[0]: pictures}, (shape,))


def prove(part: Part, model: bytes, sides: Sequence[tuple[int, int]]) -> float:
    """Largest difference between what torch and ONNX Runtime say of the same pictures.

    Raises:
        CanthusError: it is more than `TOLERANCE`, of the values' own spread where that is larger than 1.
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
        raise CanthusError(f"torch and ONNX Runtime differ by {worst:.4f} of what {part.name} says")
    return worst
