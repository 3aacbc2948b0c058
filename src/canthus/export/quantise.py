"""Static int8 networks: weights quantised by channel, activations calibrated on real inputs."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from canthus.export.onnx import halve, quiet


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Inputs for the quantiser, a few faces at a time."""

    def __init__(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        count = max(1, len(next(iter(inputs.values()))) // 16)
        columns = [np.array_split(array, count) for array in inputs.values()]
        self._batches = iter([dict(zip(inputs, row, strict=True)) for row in zip(*columns, strict=True)])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._batches, None)


def quantise(model: bytes, inputs: Mapping[str, NDArray[Any]]) -> bytes:
    """An int8 variant of a network; convolutions that give an output, and what follows the last one, stay in float.

    Weights that stay in float are stored in half precision.

    Args:
        model: ONNX bytes.
        inputs: Inputs by name, on which activations are calibrated.
    """
    graph = onnx.load_from_string(model)
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    outputs = {output.name for output in graph.graph.output}
    answers = [node.name for node in convolutions if outputs & set(node.output)]
    with TemporaryDirectory() as folder, quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(graph, source)
        quantize_static(
            source,
            target,
            _Batches(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "Add", "Resize"],
            nodes_to_exclude=[*answers, *_after_last(graph, convolutions[-1].name)],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return halve(target.read_bytes())


def _after_last(graph: onnx.ModelProto, last: str) -> list[str]:
    """Names of the nodes after a node."""
    names = [node.name for node in graph.graph.node]
    return names[names.index(last) + 1 :]
