"""Finds tensors of an ONNX network whose values lie in another file, which canthus does not read.

Such a tensor may name any file of the machine, or in ONNX Runtime an address in memory. The bytes of the network are
walked without the package onnx: https://protobuf.dev/programming-guides/encoding and onnx.proto give the form.
"""

from collections.abc import Iterator, Mapping

from canthus.errors import BundleError

DEEPEST = 100
"""Largest depth of graphs within graphs, as in protobuf itself."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Kinds of fields."""
TENSOR = "tensor"
DATA_LOCATION, EXTERNAL_DATA = 14, 13
"""Fields of a tensor that say where its values are."""
BELOW: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: TENSOR, 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: TENSOR, 6: "graph", 10: TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: TENSOR, 2: TENSOR},
}
"""Fields of each kind of message that lead to a tensor, and the kind of message that they hold."""


def refuse_external(model: bytes) -> None:
    """Check that all values of a network are in its own bytes.

    Args:
        model: ONNX bytes.

    Raises:
        BundleError: a tensor lies in another file, or the bytes are no network.
    """
    waiting = [("model", memoryview(model), 0)]
    while waiting:
        kind, message, depth = waiting.pop()
        if depth > DEEPEST:
            raise BundleError("the network has graphs within graphs too deeply nested; export it again")
        for number, value in _fields(message):
            if kind == TENSOR:
                if number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0):
                    raise BundleError("the network has values in another file; export it without external data")
            elif number in BELOW[kind] and isinstance(value, memoryview):
                waiting.append((BELOW[kind][number], value, depth + 1))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            length, at = _varint(message, at)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise _damaged()
        if at + length > len(message):
            raise _damaged()
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length at a position, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte, at = message[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _damaged()


def _damaged() -> BundleError:
    return BundleError("the network is damaged, or not in the format ONNX; fetch or export it again")
