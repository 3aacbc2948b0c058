"""ONNX Runtime as the engine of the aligners."""

from collections.abc import Mapping
from typing import Any, Literal

import onnxruntime
from numpy.typing import NDArray

from canthus.errors import BundleError, CanthusError, need
from canthus.types import Floats

Device = Literal["cpu", "cuda", "openvino"]

PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {}),
    "openvino": ("OpenVINOExecutionProvider", {"device_type": "CPU", "precision": "FP32"}),
}


class Session:
    """One network in ONNX Runtime; a `Backend`."""

    def __init__(self, model: bytes, device: Device = "cpu", threads: int = 1) -> None:
        """Load a network.

        Args:
            model: ONNX bytes.
            device: Where it runs.
            threads: Threads of the engine on the CPU; 0 = all cores.

        Raises:
            CanthusError: this installation of ONNX Runtime cannot use the device.
            BundleError: the bytes are no network that it can load.
        """
        if device not in PROVIDERS:
            raise CanthusError(f"no device is called {device!r}; there are {', '.join(PROVIDERS)}")
        provider, options = PROVIDERS[device]
        if provider not in onnxruntime.get_available_providers():
            if device == "openvino":
                raise need("openvino")
            raise CanthusError(f"this ONNX Runtime has no {provider}; for an NVIDIA GPU: pip install onnxruntime-gpu")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(model, settings, providers=[(provider, options)])
        except Exception as error:  # the engine's own exceptions share no base class
            raise BundleError(f"ONNX Runtime cannot load the network: {error}") from error
        if provider not in self._session.get_providers():
            raise CanthusError(f"{provider} could not be started; its drivers may be missing (device {device!r})")
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        """See `Backend.run`."""
        given = dict(zip(self._inputs, inputs, strict=True))
        return dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))
