"""One exception tree. Every error says what failed, on which file, and what to do about it."""

EXTRAS = {
    "train": "training",
    "export": "export to ONNX",
    "mtcnn": "the detector mtcnn-runtime",
    "report": "evaluation reports and .mat files",
    "video": "video",
    "openvino": "the OpenVINO engine",
}


class CanthusError(Exception):
    """Whatever canthus refuses to do. The message names the thing and the remedy."""


class ShapeError(CanthusError, ValueError):
    """An array has the wrong shape, type or values."""


class SchemeError(CanthusError, ValueError):
    """A landmark scheme is unknown, or two schemes do not fit together."""


class InputError(CanthusError):
    """A file that was given cannot be used."""


class ReadError(InputError):
    """An image, folder or video cannot be read."""


class FormatError(InputError):
    """A file of points or boxes is not in the format its name promises."""


class DataError(InputError):
    """A data set is incomplete or its labels contradict themselves."""


class BundleError(InputError):
    """A model bundle is missing, damaged, or not one of ours."""


class RecipeError(InputError):
    """A training recipe has an unknown or wrong field."""


class OutputError(CanthusError):
    """A result cannot be written."""


class ExtraMissingError(CanthusError, ImportError):
    """An optional part of canthus is not installed."""


def need(extra: str) -> ExtraMissingError:
    """The error to raise when an optional dependency is absent.

    Args:
        extra: Name of the extra in pyproject.toml, a key of `EXTRAS`.

    Returns:
        An error whose message is the exact command that installs the extra.
    """
    torch = " torch==2.13.0" if extra in ("train", "export") else ""
    command = f"pip install 'canthus[{extra}]'{torch}"
    return ExtraMissingError(f"more packages are needed for {EXTRAS[extra]}; install them with: {command}")
