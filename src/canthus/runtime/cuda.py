"""NVIDIA GPUs: the device "cuda", and a diagnosis of what is missing where it cannot be used.

The packages onnxruntime and onnxruntime-gpu install the same module. Both being installed, the files of one overwrite
those of the other, so that the GPU works only after onnxruntime has been removed.
"""

import contextlib
import ctypes
import io
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import onnxruntime

from canthus.errors import GPU_REPAIR, CanthusError, need

PROVIDER = "CUDAExecutionProvider"
DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
LIBRARIES = (
    ("onnxruntime_providers_shared.dll", "onnxruntime_providers_cuda.dll")
    if sys.platform == "win32"
    else ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so")
)
"""Libraries of onnxruntime-gpu, in the order in which they are loaded."""


def use(settings: onnxruntime.SessionOptions, threads: int) -> list[tuple[str, dict[str, str]]]:
    """Let a session run on the first NVIDIA GPU, in full float32.

    Args:
        settings: Settings of the session; unchanged.
        threads: Number of CPU threads; ignored.

    Returns:
        Provider for the session, with its options.

    Raises:
        ExtraMissingError: onnxruntime-gpu is not installed.
        CanthusError: another package hides it, or driver or CUDA libraries are missing.
    """
    if PROVIDER not in onnxruntime.get_available_providers():
        if not _installed("onnxruntime-gpu"):
            raise need("gpu")
        raise CanthusError(
            "onnxruntime and onnxruntime-gpu are both installed, and the files of the first have overwritten those of"
            f" the second; run: {GPU_REPAIR}"
        )
    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find; so does `missing`
            onnxruntime.preload_dlls()
    lack = missing()
    if lack:
        raise CanthusError(f"the device cuda cannot be used: {lack}")
    return [(PROVIDER, {"use_tf32": "0"})]


def missing() -> str:
    """What the GPU lacks beside ONNX Runtime, and the remedy; empty = nothing that can be seen from here."""
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return f"no NVIDIA driver is installed ({DRIVER} cannot be loaded); install the driver, or use the device cpu"
    folder = Path(onnxruntime.__file__).parent / "capi"
    for name in LIBRARIES:
        try:
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            if absent := re.search(r"(\S+): cannot open shared object|Could not find module", str(error)):
                library = absent[1] or f"a library that {name} needs"
                return (
                    f"{library} of CUDA or cuDNN was not found; install the versions that onnxruntime-gpu"
                    f" {onnxruntime.__version__} needs: pip install 'onnxruntime-gpu[cuda,cudnn]'"
                )
    return ""


def _installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True
