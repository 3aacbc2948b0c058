"""From torch modules to ONNX bytes: batch norms folded into convolutions, weights in half precision."""

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from canthus.nets.part import Part


def fold_norms(net: nn.Module) -> nn.Module:
    """A copy in which each batch norm that follows a convolution in a `Sequential` is folded into it."""
    folded = copy.deepcopy(net).eval()
    for parent in list(folded.modules()):
        if not isinstance(parent, nn.Sequential):
            continue
        for first, second in pairwise(range(len(parent))):
            if isinstance(parent[first], nn.Conv2d) and isinstance(parent[second], nn.BatchNorm2d):
                parent[first] = fuse_conv_bn_eval(parent[first], parent[second])  # type: ignore[type-var, arg-type]
                parent[second] = nn.Identity()
    return folded


def part_to_onnx(part: Part, given: Mapping[str, NDArray[Any]], open_axes: tuple[dict[int, Any], ...]) -> bytes:
    """ONNX bytes of a part.

    Args:
        part: The part.
        given: Example inputs by name.
        open_axes: For each input its dynamic axes: torch.export.Dim by number of the axis.
    """
    with quiet():
        program = torch.onnx.export(
            part.module,
            tuple(torch.from_numpy(array) for array in given.values()),
            dynamo=True,
            external_data=False,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_shapes=open_axes,
            verbose=False,
        )
    assert program is not None
    return _bare(program.model_proto)


def _bare(model: onnx.ModelProto) -> bytes:
    """ONNX bytes without the exporter's metadata, which names files of the machine it ran on."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    return bytes(model.SerializeToString())


def halve(model: bytes, least: int = 1024) -> bytes:
    """Store large float32 weights in half precision; the engine casts them back once, when it loads the network.

    Args:
        model: ONNX bytes.
        least: Number of elements from which weights count as large.
    """
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


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the log messages and warnings of exporter and quantiser; errors still raise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
