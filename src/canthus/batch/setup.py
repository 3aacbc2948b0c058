"""Everything that the landmarks of a picture depend on, as a value that can be sent to other processes and machines."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2

from canthus.align.aligner import Aligner
from canthus.errors import InputError
from canthus.pipeline import Pipeline
from canthus.runtime.bundle import Bundle, Precision
from canthus.runtime.session import Device
from canthus.types import Faces, Image
from canthus.work.folder import digest


@dataclass(frozen=True)
class Setup:
    """Model, detector and their options; `Pipeline.open` explains them.

    Attributes:
        model: Model bundle; None = the default model of the package.
        detector: Name of the detector; None = the default one.
        options: Options of the detector, by name.
        device: Device of the networks.
        threads: Number of CPU threads of each network; 0 = all cores.
        precision: Arithmetic of the model.
        depth: Number of stages to run; None = all.
        batch: Number of faces that go through the network at once.
        passes: Alignment passes per detected face.
        scheme: Landmark scheme of the results; None = that of the model.
    """

    model: Path | None = None
    detector: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    device: Device = "cpu"
    threads: int = 1
    precision: Precision = "fp32"
    depth: int | None = None
    batch: int = 32
    passes: int = 2
    scheme: str | None = None

    def open(self) -> Pipeline:
        """Load the model and the detector.

        Raises:
            CanthusError: the model, the detector, the device or the scheme cannot be used.
        """
        pipeline = Pipeline.open(
            self.model,
            self.detector,
            device=self.device,
            threads=self.threads,
            precision=self.precision,
            depth=self.depth,
            batch=self.batch,
            passes=self.passes,
            **dict(self.options),
        )
        return pipeline if self.scheme is None else pipeline.in_scheme(self.scheme)

    def sheet(self) -> Callable[[Image, Faces], Image]:
        """What draws the maps of faces (`Aligner.sheet`).

        Raises:
            CanthusError: the model cannot be used, or has no maps.
        """
        engine: dict[str, Any] = {"device": self.device, "threads": self.threads, "precision": self.precision}
        return Aligner.open(self.model, **engine, batch=self.batch, maps=True).sheet

    @property
    def model_hash(self) -> str:
        """The first 16 digits of the SHA-256 of the model bundle.

        Raises:
            InputError: the bundle cannot be read.
        """
        return digest(Bundle.open(self.model).path)


@lru_cache(1)
def opened(setup: Setup, model_hash: str | None = None) -> Pipeline:
    """The pipeline of a setup, which this process keeps for its next job.

    Args:
        setup: The setup.
        model_hash: Hash that the model must have; None = any.

    Raises:
        CanthusError: it cannot be loaded, or this machine has another model under its name.
    """
    if model_hash not in (None, setup.model_hash):
        raise InputError(f"{setup.model or 'the default model'}: is another file here than where the run was started")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged EXIF data, which is then left out
    if setup.threads:
        cv2.setNumThreads(setup.threads)
    return setup.open()
