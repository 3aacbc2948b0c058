"""A network in ONNX Runtime, the engine of canthus, on the CPU, in OpenVINO or on an NVIDIA GPU."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import onnxruntime
from numpy.typing import NDArray

from canthus.errors import BundleError, CanthusError
from canthus.runtime import cuda, openvino
from canthus.types import Floats

Device = Literal["cpu", "cuda", "openvino"]


Providers = list[tuple[str, dict[str, str]]]
"""Execution providers of a session with their options."""


def _cpu(settings: onnxruntime.SessionOptions, threads: int) -> Providers:
    """The provider that every ONNX Runtime has."""
    return [(CPU, {})]


CPU = "CPUExecutionProvider"
DEVICES: dict[str, tuple[str, Callable[[onnxruntime.SessionOptions, int], Providers | None]]] = {
    "cpu": (CPU, _cpu),
    "cuda": (cuda.PROVIDER, cuda.use),
    "openvino": (openvino.PROVIDER, openvino.use),
}
"""Execution provider of each device, and what prepares it: returns providers, or None if the settings hold them."""


def installed() -> list[str]:
    """Devices whose packages are installed; drivers are not checked."""
    there = {
        "cpu": True,
        "cuda": cuda.PROVIDER in onnxruntime.get_available_providers(),
        "openvino": openvino.installed(),
    }
    return [device for device in DEVICES if there[device]]


class Session:
    """One network in ONNX Runtime; a `Backend` that several threads may use at once."""

    def __init__(self, model: bytes, device: Device = "cpu", threads: int = 1) -> None:
        """Load a network.

        Args:
            model: ONNX bytes.
            device: Processor or engine that runs it: "cpu", "cuda" or "openvino".
            threads: Number of CPU threads; 0 = all cores.

        Raises:
            CanthusError: the device cannot be used here.
            BundleError: the bytes are not a network that ONNX Runtime can load.
        """
        if device not in DEVICES:
            raise CanthusError(f"no device is called {device!r}; there are {', '.join(DEVICES)}")
        self._session = self._single = _load(model, device, threads, {})
        given = self._session.get_inputs()
        self._inputs = [one.name for one in given]
        self._outputs = [one.name for one in self._session.get_outputs()]
        batch = given[0].shape[0]
        if device == "openvino" and isinstance(batch, str):  # it is up to a fifth faster where the batch is known
            self._single = _load(model, device, threads, {batch: 1})

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        """See `Backend.run`."""
        given = dict(zip(self._inputs, inputs, strict=True))
        session = self._single if len(inputs[0]) == 1 else self._session
        return dict(zip(self._outputs, session.run(self._outputs, given), strict=True))


def _load(model: bytes, device: str, threads: int, sizes: Mapping[str, int]) -> onnxruntime.InferenceSession:
    """A session on a device, in which dimensions of the inputs may be fixed by name."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    for dimension, size in sizes.items():
        settings.add_free_dimension_override_by_name(dimension, size)
    provider, prepare = DEVICES[device]
    providers = prepare(settings, threads)
    try:
        session = onnxruntime.InferenceSession(model, settings, providers=providers)
    except Exception as error:  # the engine's own exceptions share no base class
        raise BundleError(f"ONNX Runtime cannot load the network: {error}") from error
    if provider not in session.get_providers():
        raise CanthusError(f"ONNX Runtime could not start {provider} (device {device!r}); the reason is on stderr")
    return session
