"""From a checkpoint to a bundle: ONNX with weights in half precision, an int8 variant, and a proof of parity."""

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
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
from canthus.errors import CanthusError, InputError
from canthus.formats import replace_whole
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import apply
from canthus.nets.compact import Compact, CompactConfig, Deployed, reliability
from canthus.runtime.bundle import Card, Crop, member_of, write_bundle
from canthus.runtime.session import Session
from canthus.schemes.scheme import Scheme
from canthus.train.recipe import Recipe, check_recipe
from canthus.train.task import TorchBackend, weights_of

OUTPUTS = ("points", "scores", "pose")
PARITY = 0.05
"""Largest distance in pixels between a point from torch and the same point from ONNX Runtime."""
CALIBRATION_FACES = 256


def export(
    checkpoint: Path,
    root: Path,
    out: Path,
    *,
    int8: bool = True,
    extent: float | None = None,
    measured: Sequence[dict[str, Any]] = (),
) -> Card:
    """Make a bundle of a checkpoint.

    Args:
        checkpoint: `best.ckpt` or `last.ckpt` of a run; the run's `card.json` lies beside it.
        root: Folder of the data sets: training faces calibrate int8, validation faces prove parity.
        out: The bundle to write, whole or not at all.
        int8: Add the int8 variant.
        extent: Side of the crop over the longer side of the box at run time; None = the one it was trained around.
        measured: Errors for the card, each with its protocol.

    Returns:
        The card.

    Raises:
        InputError: no checkpoint or run card.
        CanthusError: ONNX Runtime does not give what torch gives.
    """
    net, recipe, run = load_checkpoint(checkpoint)
    config = net.config = replace(net.config, extent=extent or net.config.extent)
    share = recipe.val[0]
    validation = list(open_set(share.name, root, share.split))
    calibration = calibrate(net, validation)
    deployed = Deployed(fold_norms(net), calibration).eval()
    proof = crops_of(validation[:CALIBRATION_FACES], config)
    networks = {"landmarks-fp32.onnx": halve(to_onnx(deployed, config.size))}
    gap = prove(deployed, networks["landmarks-fp32.onnx"], proof)
    members = {"fp32": member_of("landmarks-fp32.onnx", networks["landmarks-fp32.onnx"])}
    if int8:
        samples = [sample for part in recipe.sets for sample in open_set(part.name, root, part.split)]
        step = max(1, len(samples) // CALIBRATION_FACES)
        networks["landmarks-int8.onnx"] = quantise(to_onnx(deployed, config.size), crops_of(samples[::step], config))
        members["int8"] = member_of("landmarks-int8.onnx", networks["landmarks-int8.onnx"])
    card = Card(
        name=recipe.name,
        system=recipe.network,
        scheme=Scheme.open(str(config.points)).name,
        points=config.points,
        crop=Crop(size=config.size, extent=config.extent),
        networks={"landmarks": members},
        paper="integral heatmaps: Sun et al., Integral Human Pose Regression, 2018; the network is canthus's own",
        data=[f"{part.name} {part.split}" for part in recipe.sets],
        recipe=recipe.model_dump(mode="json"),
        training={
            **{key: run.get(key) for key in ("packages", "machine", "runs")},
            "start": _lineage(run.get("start")),
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
    """What a card tells of the run that another one started from."""
    if run is None:
        return None
    kept = {key: run.get(key) for key in ("recipe", "machine", "runs")}
    return {**kept, "start": _lineage(run.get("start"))}


def load_checkpoint(path: Path) -> tuple[Compact, Recipe, dict[str, Any]]:
    """The network of a checkpoint (in evaluation mode, averaged weights), its recipe and its run card."""
    card = path.parent / "card.json"
    for file in (path, card):
        if not file.is_file():
            raise InputError(f"{file} does not exist; `canthus train` makes checkpoints with a card.json beside them")
    run = json.loads(card.read_text())
    recipe = check_recipe(run["recipe"], str(card))
    weights = weights_of(path)
    points = weights["maps.1.weight"].shape[0]
    net = Compact(CompactConfig(**{**recipe.config, "points": points}))
    net.load_state_dict(weights)
    return net.eval(), recipe, run


def fold_norms(net: Compact) -> Compact:
    """A copy whose batch norms are part of the convolutions before them."""
    folded = copy.deepcopy(net).eval()
    for parent in list(folded.modules()):
        if isinstance(parent, nn.Sequential) and len(parent) > 1 and isinstance(parent[1], nn.BatchNorm2d):
            parent[0] = fuse_conv_bn_eval(parent[0], parent[1])  # type: ignore[type-var]
            parent[1] = nn.Identity()
    return folded


def calibrate(net: Compact, samples: Sequence[Sample]) -> float:
    """What to add to log b so that on these faces the mean reliability is the share of points that are near."""
    config = net.config
    crops = crops_of(samples, config)
    with torch.no_grad():
        found = net(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255 - 0.5)
    matrices = [crop_matrix(box_of(sample.points), config.size, config.extent) for sample in samples]
    truth = np.stack([apply(matrix, sample.points) for matrix, sample in zip(matrices, samples, strict=True)])
    limit = config.near / config.extent
    near = float((np.linalg.norm(found.points.numpy() - truth, axis=-1) < limit * config.size).mean())
    low, high = -3.0, 3.0  # the mean reliability falls as log b grows
    for _ in range(40):
        middle = (low + high) / 2
        if float(reliability(found.log_spread + middle, limit).mean()) > near:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 4)


def crops_of(samples: Sequence[Sample], config: CompactConfig) -> NDArray[np.uint8]:
    """Crops of faces from their true boxes. Shape (N, S, S, 3)."""
    boxes = [box_of(sample.points) for sample in samples]
    matrices = [crop_matrix(box, config.size, config.extent) for box in boxes]
    return np.stack([warp(s.picture(), m, config.size) for s, m in zip(samples, matrices, strict=True)])


def to_onnx(module: nn.Module, size: int) -> bytes:
    """ONNX bytes of a module that takes crops (N, S, S, 3) uint8; N stays open."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            external_data=False,
            input_names=["crops"],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("faces")},),
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


class _Crops(CalibrationDataReader):  # type: ignore[misc]
    """Hands crops to the quantiser, a few at a time."""

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = iter(np.array_split(crops, max(1, len(crops) // 16)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"crops": batch}


def quantise(model: bytes, crops: NDArray[np.uint8]) -> bytes:
    """Static int8: weights by channel, activations calibrated on crops; what follows the last convolution is float."""
    graph = onnx.load_from_string(model)
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    with TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(graph, source)
        quantize_static(
            source,
            target,
            _Crops(crops),
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


def prove(module: nn.Module, model: bytes, crops: NDArray[np.uint8]) -> float:
    """Largest distance in pixels between the points of torch and of ONNX Runtime on the same crops.

    Raises:
        CanthusError: it is over `PARITY`, or scores differ by more than .01 or angles by more than .1 degrees.
    """
    ours, theirs = TorchBackend(module, OUTPUTS).run(crops), Session(model, threads=0).run(crops)
    gap = float(np.linalg.norm(ours["points"] - theirs["points"], axis=-1).max())
    scores, pose = (float(np.abs(ours[name] - theirs[name]).max()) for name in ("scores", "pose"))
    if gap > PARITY or scores > 0.01 or pose > 0.1:
        raise CanthusError(f"torch and ONNX Runtime differ: points {gap:.3f} px, scores {scores:.4f}, pose {pose:.3f}")
    return gap


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
