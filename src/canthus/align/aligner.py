"""From a bundle to landmarks: which system a bundle holds, and how faces go through it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from canthus.align import cascaded_cnn, compact, local_global
from canthus.align.cropped import Cropped, Solver
from canthus.errors import BundleError, ShapeError
from canthus.runtime.bundle import Bundle, Card, Precision
from canthus.runtime.session import Device, Session
from canthus.schemes.scheme import Scheme
from canthus.types import Backend, Faces, Image, as_boxes, as_image


class System(NamedTuple):
    """One of the systems at run time.

    Attributes:
        depths: Its stages; a run may stop after any of them.
        solver: From its networks by name and the number of stages to the system on crops.
    """

    depths: int
    solver: Callable[[Mapping[str, Backend], int], Solver]


ALIGNERS: dict[str, System] = {
    "cascaded_cnn": System(cascaded_cnn.DEPTHS, cascaded_cnn.solver),
    "compact": System(compact.DEPTHS, compact.solver),
    "local_global": System(local_global.DEPTHS, local_global.solver),
}
"""System by stem."""


def solver_of(stem: str, networks: Mapping[str, Backend], depth: int | None = None) -> Solver:
    """A system on crops.

    Args:
        stem: A key of `ALIGNERS`.
        networks: Its networks by name.
        depth: Stages after which to stop; None = all.

    Raises:
        ShapeError: the system has no such stage.
    """
    system = ALIGNERS[stem]
    if depth is not None and not 1 <= depth <= system.depths:
        raise ShapeError(f"{stem} has stages 1 to {system.depths}; it cannot stop after stage {depth}")
    return system.solver(networks, depth or system.depths)


class Aligner:
    """Finds the landmarks of given faces.

    >>> aligner = canthus.Aligner.open()
    >>> aligner.align(image, [[80, 60, 240, 220]]).points  # (1, 68, 2)
    """

    def __init__(self, system: Cropped, card: Card) -> None:
        self.system, self.card = system, card

    @classmethod
    def open(
        cls,
        path: str | Path | None = None,
        *,
        device: Device = "cpu",
        threads: int = 1,
        precision: Precision = "fp32",
        batch: int = 32,
        depth: int | None = None,
    ) -> "Aligner":
        """Load a bundle.

        Args:
            path: The bundle; None = the one in the package.
            device: "cpu", "cuda" or "openvino".
            threads: Threads of the engine on the CPU; 0 = all cores.
            precision: "fp32", or "int8": about twice as fast and slightly less accurate.
            batch: Faces that go through the network at once.
            depth: Stages of a cascade after which to stop; None = all.

        Raises:
            BundleError: the bundle is missing or damaged, or lacks the precision.
            ShapeError: the system has no such stage.
            CanthusError: the device cannot be used.
        """
        bundle = Bundle.open(path)
        if bundle.card.system not in ALIGNERS:
            raise BundleError(
                f"{bundle.path}: system {bundle.card.system!r} is not known; there are {', '.join(ALIGNERS)}"
            )
        if batch < 1:
            raise ShapeError(f"a batch holds at least one face, not {batch}")
        card = bundle.card
        if card.crop is None:
            raise BundleError(f"{bundle.path}: the card does not tell the crop; export the checkpoint again")
        networks = {name: Session(bundle.network(name, precision), device, threads) for name in card.networks}
        solve = solver_of(card.system, networks, depth)
        mean = None if card.crop.mean is None else np.array(card.crop.mean, np.float32)
        return cls(Cropped(solve, card.scheme, card.crop.size, card.crop.extent, batch, mean), card)

    @property
    def scheme(self) -> Scheme:
        """What the points mean."""
        return Scheme.open(self.card.scheme)

    def align(self, image: Image, boxes: ArrayLike, rolls: ArrayLike | None = None) -> Faces:
        """Landmarks of the faces of one image.

        Args:
            image: Shape (H, W, 3), uint8, RGB.
            boxes: Boxes of the landmarks, upright in the picture, x0 y0 x1 y1. Shape (F, 4) or (4,).
            rolls: How far the heads are turned in the plane, as `align_many`. Shape (F,).

        Returns:
            F faces in the order of the boxes; an empty `Faces` for no box.

        Raises:
            ShapeError: not an image, or not boxes.
        """
        return self.align_many([image], [as_boxes(boxes)], None if rolls is None else [rolls])[0]

    def align_many(
        self, images: Sequence[Image], boxes: Sequence[ArrayLike], rolls: Sequence[ArrayLike] | None = None
    ) -> list[Faces]:
        """Landmarks of the faces of several images in common batches.

        Args:
            images: I images, each (H, W, 3).
            boxes: For each image (F, 4).
            rolls: For each image (F,): degrees clockwise on the screen by which a head is turned; its crop is turned
                back. NaN, or None for all: not known, the crop is upright.

        Returns:
            The faces of each image.

        Raises:
            ShapeError: not images, not boxes, or not as many of one as of the other.
        """
        if len(images) != len(boxes):
            raise ShapeError(f"{len(images)} images, but boxes for {len(boxes)}")
        checked = [as_boxes(some) for some in boxes]
        turns = None if rolls is None else [np.asarray(some, np.float32).reshape(-1) for some in rolls]
        if turns is not None and [len(some) for some in turns] != [len(some) for some in checked]:
            raise ShapeError(f"rolls of {[len(some) for some in turns]} faces for {[len(some) for some in checked]}")
        return self.system.align([as_image(image) for image in images], checked, turns)
