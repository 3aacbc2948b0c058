"""From a checkpoint to a bundle: ONNX with weights in half precision, an int8 variant, and a proof of parity."""

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.errors import CanthusError
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import apply
from canthus.nets.decode import reliability
from canthus.nets.network import NETWORKS
from canthus.nets.part import Part
from canthus.runtime.bundle import Card, Crop, Precision, member_of, write_bundle
from canthus.runtime.session import Session
from canthus.train.landmarks.task import TorchBackend, load_checkpoint
from canthus.types import Backend
from canthus.work.files import replace_whole

TOLERANCES = {"points": 0.05, "scores": 0.01, "pose": 0.1}
"""How far torch and ONNX Runtime may differ: pixels of the crop, probability, degrees."""
CALIBRATION_FACES = 256


def export(
    checkpoint: Path,
    root: Path,
    out: Path,
    *,
    int8: bool = True,
    margin: float | None = None,
    measured: Sequence[dict[str, Any]] = (),
) -> Card:
    """Make a bundle of a checkpoint.

    Args:
        checkpoint: `best.ckpt` or `last.ckpt` of a run; the run's `card.json` lies beside it.
        root: Folder of the data sets: training faces calibrate int8, validation faces prove parity.
        out: The bundle to write, whole or not at all.
        int8: Add the int8 variant.
        margin: Crop margin at run time: side of the crop over the longer side of the box; None = that of the training.
        measured: Errors for the card, each with its protocol.

    Returns:
        The card.

    Raises:
        InputError: no checkpoint or run card.
        CanthusError: ONNX Runtime does not give what torch gives.
    """
    net, recipe, run = load_checkpoint(checkpoint)
    config = net.config = replace(net.config, margin=margin or net.config.margin)
    share = recipe.val[0]
    validation = list(open_set(share.name, root, share.split, **share.options))
    calibration = calibrate(net, validation)
    parts = NETWORKS[recipe.network].parts(fold_norms(net).eval(), calibration)
    proof = crops_of(validation[:CALIBRATION_FACES], config)
    models = to_onnx(parts, config.size)
    networks = {f"{name}-fp32.onnx": halve(model) for name, model in models.items()}
    gap = prove(parts, {part.name: networks[f"{part.name}-fp32.onnx"] for part in parts}, proof)
    if int8:
        samples = [sample for some in recipe.sets for sample in open_set(some.name, root, some.split, **some.options)]
        step = max(1, len(samples) // CALIBRATION_FACES)
        flow = run_parts(parts, crops_of(samples[::step], config))
        networks |= {
            f"{part.name}-int8.onnx": quantise(models[part.name], given)
            for part, (given, _) in zip(parts, flow, strict=True)
        }
    precisions: tuple[Precision, ...] = ("fp32", "int8") if int8 else ("fp32",)
    members = {
        part.name: {
            kind: member_of(f"{part.name}-{kind}.onnx", networks[f"{part.name}-{kind}.onnx"]) for kind in precisions
        }
        for part in parts
    }
    card = Card(
        name=recipe.name,
        system=recipe.network,
        scheme=run["scheme"],
        points=config.points,
        crop=Crop(size=config.size, extent=config.extent, mean=run["mean"]),
        networks=members,
        paper=NETWORKS[recipe.network].paper,
        data=[f"{part.name} {part.split}" for part in recipe.sets],
        recipe=recipe.model_dump(mode="json"),
        training={
            **{key: run.get(key) for key in ("packages", "machine", "runs")},
            "start": [_lineage(start) for start in run["start"]],
            "parity_px": round(gap, 5),
            "calibration": calibration,
        },
        measured=list(measured),
        licence="Weights: research use only, because the annotations of wild68 (iBUG) are for research, not commerce.",
        limits=[
            "full profiles (yaw beyond 60 degrees) are scarce in the training data",
            "heads turned in the plane by more than 45 degrees need a rotated crop",
        ],
    )
    with replace_whole(out) as temporary:
        write_bundle(temporary, card, networks)
    return card


def _lineage(run: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a card tells of a run that another one started from; None where its card was lost."""
    if run is None:
        return None
    kept = {key: run.get(key) for key in ("recipe", "machine", "runs")}
    return {**kept, "start": [_lineage(start) for start in run["start"]]}


def fold_norms(net: nn.Module) -> nn.Module:
    """A copy in which a batch norm that follows a convolution in a `Sequential` is part of it."""
    folded = copy.deepcopy(net).eval()
    for parent in list(folded.modules()):
        if not isinstance(parent, nn.Sequential):
            continue
        for first, second in pairwise(range(len(parent))):
            if isinstance(parent[first], nn.Conv2d) and isinstance(parent[second], nn.BatchNorm2d):
                parent[first] = fuse_conv_bn_eval(parent[first], parent[second])  # type: ignore[type-var, arg-type]
                parent[second] = nn.Identity()
    return folded


def calibrate(net: nn.Module, samples: Sequence[Sample]) -> float:
    """What to add to log b so that on these faces the mean reliability is the share of points that are near."""
    config: Any = net.config
    crops = crops_of(samples, config)
    with torch.no_grad():
        found = net(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255 - 0.5)
    matrices = [crop_matrix(box_of(sample.points), config.size, config.margin) for sample in samples]
    truth = np.stack([apply(matrix, sample.points) for matrix, sample in zip(matrices, samples, strict=True)])
    limit = config.near / config.margin
    near = float((np.linalg.norm(found.points.numpy() - truth, axis=-1) < limit * config.size).mean())
    low, high = -3.0, 3.0  # the mean reliability falls as log b grows
    for _ in range(40):
        middle = (low + high) / 2
        if float(reliability(found.log_spread + middle, limit).mean()) > near:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 4)


def crops_of(samples: Sequence[Sample], config: Any) -> NDArray[np.uint8]:
    """Crops of faces from their true boxes. Shape (N, S, S, 3)."""
    boxes = [box_of(sample.points) for sample in samples]
    matrices = [crop_matrix(box, config.size, config.margin) for box in boxes]
    return np.stack([warp(s.picture(), m, config.size) for s, m in zip(samples, matrices, strict=True)])


Flow = list[tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]]
"""Inputs and outputs of each part, by name."""


def run_parts(parts: Sequence[Part], crops: NDArray[np.uint8], engines: Mapping[str, Backend] | None = None) -> Flow:
    """Let crops run through all parts.

    Args:
        parts: In their order.
        crops: Shape (N, S, S, 3).
        engines: What runs each part; None = torch.
    """
    known: dict[str, NDArray[Any]] = {parts[0].inputs[0]: crops}
    flow = []
    for part in parts:
        engine = TorchBackend(part.module, part.outputs) if engines is None else engines[part.name]
        given = {name: known[name] for name in part.inputs}
        found = dict(engine.run(*given.values()))
        flow.append((given, found))
        known |= found
    return flow


def to_onnx(parts: Sequence[Part], size: int) -> dict[str, bytes]:
    """ONNX bytes of each part by its name, for crops (N, S, S, 3); N stays open."""
    flow = run_parts(parts, np.zeros((2, size, size, 3), np.uint8))
    faces = torch.export.Dim("faces")
    return {
        part.name: part_to_onnx(part, given, tuple({0: faces} for _ in part.inputs))
        for part, (given, _) in zip(parts, flow, strict=True)
    }


def part_to_onnx(part: Part, given: Mapping[str, NDArray[Any]], open_sides: tuple[dict[int, Any], ...]) -> bytes:
    """ONNX bytes of a part.

    Args:
        part: What is exported.
        given: Inputs by name.
        open_sides: For each input which of its sides stay open: torch.export.Dim by number.
    """
    with _quiet():
        program = torch.onnx.export(
            part.module,
            tuple(torch.from_numpy(array) for array in given.values()),
            dynamo=True,
            external_data=False,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_shapes=open_sides,
            verbose=False,
        )
    assert program is not None
    return _bare(program.model_proto)


def _bare(model: onnx.ModelProto) -> bytes:
    """ONNX bytes without the exporter's notes, which name files of the machine it ran on."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    return bytes(model.SerializeToString())


def halve(model: bytes, least: int = 1024) -> bytes:
    """Store large float32 weights in half precision; the engine widens them once, when it loads the net."""
    graph = onnx.load_from_string(model)
    casts = []
    for tensor in graph.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < least:
            continue
        small = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}.half")
        casts.append(helper.make_node("Cast", [small.name], [tensor.name], to=TensorProto.FLOAT))
        tensor.CopyFrom(small)
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Hands inputs to the quantiser, a few faces at a time."""

    def __init__(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        count = max(1, len(next(iter(inputs.values()))) // 16)
        columns = [np.array_split(array, count) for array in inputs.values()]
        self._batches = iter([dict(zip(inputs, row, strict=True)) for row in zip(*columns, strict=True)])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._batches, None)


def quantise(model: bytes, inputs: Mapping[str, NDArray[Any]]) -> bytes:
    """Static int8: weights by channel, activations calibrated on inputs; what follows the last convolution is float."""
    graph = onnx.load_from_string(model)
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    with TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(graph, source)
        quantize_static(
            source,
            target,
            _Batches(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "Add", "Resize"],
            nodes_to_exclude=_after_last(graph, convolutions[-1]),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def _after_last(graph: onnx.ModelProto, last: str) -> list[str]:
    names = [node.name for node in graph.graph.node]
    return names[names.index(last) + 1 :]


def prove(parts: Sequence[Part], models: Mapping[str, bytes], crops: NDArray[np.uint8]) -> float:
    """Largest distance in pixels between the points of torch and of ONNX Runtime on the same crops.

    Raises:
        CanthusError: a result differs by more than `TOLERANCES` allow.
    """
    sessions = {name: Session(model, threads=0) for name, model in models.items()}
    gaps = dict.fromkeys(TOLERANCES, 0.0)
    for (_, ours), (_, theirs) in zip(run_parts(parts, crops), run_parts(parts, crops, sessions), strict=True):
        for name in gaps.keys() & ours.keys():
            difference = ours[name] - theirs[name]
            far = np.linalg.norm(difference, axis=-1) if name == "points" else np.abs(difference)
            gaps[name] = max(gaps[name], float(far.max()))
    if any(gaps[name] > most for name, most in TOLERANCES.items()):
        found = ", ".join(f"{name} by {gap:.4f}" for name, gap in gaps.items())
        raise CanthusError(f"torch and ONNX Runtime differ: {found}")
    return gaps["points"]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's chatter off the screen; errors still raise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
