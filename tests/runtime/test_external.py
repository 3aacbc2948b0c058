"""Networks whose values lie in another file are refused."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from canthus.errors import BundleError
from canthus.runtime.bundle import Bundle, default_bundle
from canthus.runtime.external import refuse_external
from canthus.runtime.session import Session
from fuzz.seeds import network


def external(tensor: onnx.TensorProto, location: str = "/etc/passwd") -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "544"}.items():
        tensor.external_data.add(key=key, value=value)


@pytest.mark.parametrize("location", ["/etc/passwd", "weights.bin", "*/_ORT_MEM_ADDR_/*"])
def test_external_values_of_a_network(location: str) -> None:
    model = onnx.load_from_string(network())
    external(next(tensor for tensor in model.graph.initializer if tensor.name == "w_points"), location)
    for use in (refuse_external, Session):
        with pytest.raises(BundleError, match="values in another file; export it without external data"):
            use(model.SerializeToString())


def test_wherever_they_are() -> None:
    """In a constant, in a graph within a graph, in a sparse tensor, in a function, in a list; also without a flag."""
    tensor = numpy_helper.from_array(numpy_helper.to_array(onnx.load_from_string(network()).graph.initializer[0]), "a")
    external(tensor)
    unflagged = onnx.TensorProto.FromString(tensor.SerializeToString())
    unflagged.ClearField("data_location")
    inner = helper.make_graph([], "inner", [], [], [tensor])
    nodes = {
        "constant": helper.make_node("Constant", [], ["a"], value=tensor),
        "unflagged": helper.make_node("Constant", [], ["a"], value=unflagged),
        "graph": helper.make_node("If", ["b"], ["a"], then_branch=inner, else_branch=inner),
        "list": helper.make_node("Any", [], ["a"]),
        "sparse": helper.make_node("Any", [], ["a"]),
    }
    nodes["list"].attribute.add(name="x", type=onnx.AttributeProto.TENSORS).tensors.append(tensor)
    nodes["sparse"].attribute.add(name="x").sparse_tensor.values.CopyFrom(tensor)
    for node in nodes.values():
        model = helper.make_model(helper.make_graph([node], "outer", [], []))
        function = helper.make_model(helper.make_graph([], "outer", [], []))
        function.functions.append(helper.make_function("own", "f", [], [], [node], []))
        for some in (model, function):
            with pytest.raises(BundleError, match="values in another file"):
                refuse_external(some.SerializeToString())


def test_whole_networks_pass() -> None:
    refuse_external(network())
    refuse_external(b"")
    for stem in ("default", "detector", "face_score"):
        bundle = Bundle.open(default_bundle(stem))
        for name, variants in bundle.card.parts.items():
            for precision in variants:
                refuse_external(bundle.network(name, precision))


def test_graphs_within_graphs_are_bounded() -> None:
    def field(number: int, content: bytes) -> bytes:
        length, rest = len(content) & 0x7F, len(content) >> 7
        return (
            bytes([number << 3 | 2, length | 0x80, rest & 0x7F]) + content
            if rest
            else bytes([number << 3 | 2, length]) + content
        )

    graph = b""
    for _ in range(40):
        graph = field(1, field(5, field(6, graph)))  # a node with an attribute that is a graph
    with pytest.raises(BundleError, match="too deeply nested"):
        refuse_external(field(7, graph))


@pytest.mark.parametrize("data", [b"\xff" * 12, b"\x3a\xff\x01", b"\x3b", b"\x38", b"not a network"])
def test_bytes_that_are_no_network(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="damaged, or not in the format ONNX"):
        refuse_external(data)
