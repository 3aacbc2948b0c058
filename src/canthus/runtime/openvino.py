"""OpenVINO as a plugin of ONNX Runtime: the device "openvino", on the CPU.

The plugin (package onnxruntime-ep-openvino) brings OpenVINO along and leaves ONNX Runtime as it is. The packages
onnxruntime-openvino and openvino are not used: the first overwrites the files of onnxruntime, the second reports its
use over the network when it is imported.
"""

import json
import threading
from importlib.util import find_spec
from typing import Any

import onnxruntime

from canthus.errors import CanthusError, need

PROVIDER = "OpenVINOExecutionProvider"
PACKAGE = "onnxruntime_ep_openvino"
_LOCK = threading.Lock()


def installed() -> bool:
    """Whether the plugin is installed."""
    return find_spec(PACKAGE) is not None


def use(settings: onnxruntime.SessionOptions, threads: int) -> None:
    """Let a session run in OpenVINO on the CPU.

    Args:
        settings: Settings of the session; receive the device.
        threads: Number of CPU threads; 0 = all cores.

    Raises:
        ExtraMissingError: the plugin is not installed.
        CanthusError: ONNX Runtime is too old for plugins, or cannot load this one.
    """
    options = {
        "INFERENCE_PRECISION_HINT": "f32",  # some processors would compute in bfloat16
        "INFERENCE_NUM_THREADS": str(threads),
        "NUM_STREAMS": "1",
        "ENABLE_CPU_PINNING": "NO",
    }
    settings.add_provider_for_devices([_device()], {"load_config": json.dumps({"CPU": options})})


def _device() -> Any:
    """The CPU as a device of the plugin, which is registered once per process."""
    if not installed():
        raise need("openvino")
    if not hasattr(onnxruntime, "get_ep_devices"):
        raise CanthusError(
            f"the OpenVINO engine needs ONNX Runtime 1.23 or newer, not {onnxruntime.__version__};"
            " run: pip install --upgrade onnxruntime"
        )
    with _LOCK:
        found = _found()
        if found is None:
            from onnxruntime_ep_openvino import get_library_path

            try:
                onnxruntime.register_execution_provider_library(PACKAGE, get_library_path())
            except Exception as error:  # the engine's own exceptions share no base class
                raise CanthusError(f"ONNX Runtime cannot load the OpenVINO plugin: {error}") from error
            found = _found()
    if found is None:
        raise CanthusError("the OpenVINO plugin does not support this processor; use the device cpu")
    return found


def _found() -> Any | None:
    """The CPU among the devices of all registered plugins."""
    for device in onnxruntime.get_ep_devices():
        if device.ep_name == PROVIDER and device.ep_metadata.get("ov_device") == "CPU":
            return device
    return None
