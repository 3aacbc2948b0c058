"""The exceptions of canthus. Every message says what failed, on which file, and what to do about it."""

EXTRAS = {
    "train": "training",
    "export": "export to ONNX",
    "mtcnn": "the detector mtcnn-runtime",
    "report": "evaluation reports and .mat files",
    "video": "video",
    "parquet": "Parquet tables",
    "serve": "the server",
    "heif": "HEIC pictures",
    "openvino": "the OpenVINO engine",
    "pandas": "tables of pandas",
    "gpu": "NVIDIA GPUs",
    "ray": "batches on Ray",
}
"""Extras of pyproject.toml, and the purpose of each."""
GPU_REPAIR = "pip uninstall -y onnxruntime && pip install --force-reinstall --no-deps onnxruntime-gpu"
"""Command that gives onnxruntime-gpu its files back, which those of onnxruntime overwrite."""


class CanthusError(Exception):
    """Base class of all errors of canthus."""


class ShapeError(CanthusError, ValueError):
    """An array has the wrong shape, type or values."""


class InputError(CanthusError):
    """An input file cannot be used."""


class SchemeError(InputError, ValueError):
    """A landmark scheme is unknown or wrong, or two schemes do not fit together."""


class ReadError(InputError):
    """An image, folder or video cannot be read."""


class KindError(ReadError):
    """A file is in no image format that canthus reads."""


class SizeError(ReadError):
    """An image is larger than a limit."""


class FormatError(InputError):
    """A file of points or boxes is not in the format of its extension."""


class DataError(InputError):
    """A data set is incomplete, or its labels are inconsistent."""


class BundleError(InputError):
    """A model bundle is missing, damaged, or holds something else."""


class RecipeError(InputError):
    """A training recipe has an unknown or invalid field."""


class OutputError(CanthusError):
    """A result cannot be written."""


class ExtraMissingError(CanthusError, ImportError):
    """An optional part of canthus is not installed."""


def need(extra: str) -> ExtraMissingError:
    """The error to raise when an optional dependency is absent.

    Args:
        extra: Name of the extra in pyproject.toml, a key of `EXTRAS`.

    Returns:
        An error whose message gives the command that installs the extra.
    """
    torch = " torch==2.13.0" if extra in ("train", "export") else ""
    repair = f" && {GPU_REPAIR}" if extra == "gpu" else ""
    command = f"pip install 'canthus[{extra}]'{torch}{repair}"
    return ExtraMissingError(f"more packages are needed for {EXTRAS[extra]}; install them with: {command}")
