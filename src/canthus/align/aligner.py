"""From a bundle to landmarks: the public aligner."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from canthus.align.maps import MAPS, sheet_of
from canthus.align.stage import Parts, System
from canthus.align.systems import system_of
from canthus.errors import BundleError, ShapeError
from canthus.runtime.bundle import Bundle, Card, Precision
from canthus.runtime.session import Device, Named, open_network
from canthus.schemes.scheme import Scheme
from canthus.types import Faces, Floats, Image, as_boxes, as_image


class Aligner:
    """Finds the landmarks of given faces.

    >>> aligner = canthus.Aligner.open()
    >>> aligner.align(image, [[80, 60, 240, 220]]).points  # (1, 68, 2)
    """

    def __init__(self, system: System, card: Card) -> None:
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
        maps: bool = False,
    ) -> "Aligner":
        """Load a bundle.

        Args:
            path: The bundle; None = the one in the package.
            device: "cpu", "cuda" or "openvino".
            threads: Threads of the engine on the CPU; 0 = all cores.
            precision: "fp32", or "int8": about twice as fast and slightly less accurate.
            batch: Faces that go through the network at once.
            depth: Number of stages after which to stop; None = all.
            maps: Whether `sheet` is wanted, which a model of score_guided draws.

        Raises:
            BundleError: the bundle is missing or damaged, or lacks the precision; or it has no maps that are wanted.
            ShapeError: the system has no such stage.
            CanthusError: the device cannot be used, or the number of threads is negative.
        """
        bundle = Bundle.open(path)
        if batch < 1:
            raise ShapeError(f"a batch holds at least one face, not {batch}")
        parts: dict[str, Parts] = {}
        for stage in bundle.card.stages:
            if stage.crop is None:
                raise BundleError(
                    f"{bundle.path}: the card of stage {stage.name!r} has no crop settings; export the checkpoint again"
                )
            networks = {
                name: open_network(bundle, stage, name, precision, device, threads, () if maps else MAPS)
                for name in stage.parts
            }
            if maps and not parts and not any(set(MAPS) <= set(session.outputs) for session in networks.values()):
                raise BundleError(f"{bundle.path}: {bundle.card.system} has no score maps; use a model of score_guided")
            lack = f"{bundle.path}: the stage {stage.name!r} has no"
            arrays = Named(bundle.arrays(stage).items(), f"{lack} array")
            parts[stage.name] = Parts(stage.crop, Named(networks.items(), f"{lack} network"), arrays)
        try:
            system = system_of(bundle.card.system, bundle.card.scheme, parts, batch)
        except BundleError as error:
            raise BundleError(f"{bundle.path}: {error}") from error
        return cls(system.prefix(depth), bundle.card)

    @property
    def scheme(self) -> Scheme:
        """The landmark scheme of the points."""
        return Scheme.open(self.system.scheme)

    def sheet(self, image: Image, faces: Faces) -> Image:
        """Draw heatmaps and score maps of the faces of an image; the model was opened with `maps`.

        Args:
            image: Shape (H, W, 3), uint8, RGB.
            faces: Faces in it; F of them.

        Returns:
            One row for each face: its crop, alone, under its heatmaps and under its score maps. Shape (F S, 3 S, 3).
        """
        return sheet_of(self.system, as_image(image), faces)

    def align(self, image: Image, boxes: ArrayLike, rolls: ArrayLike | None = None) -> Faces:
        """Landmarks of the faces of one image.

        Args:
            image: Shape (H, W, 3), uint8, RGB.
            boxes: Boxes of the landmarks, upright in the picture, x0 y0 x1 y1. Shape (F, 4) or (4,).
            rolls: How far the heads are turned in the plane, as `align_many`. Shape (F,).

        Returns:
            F faces in the order of the boxes; an empty `Faces` for no box.

        Raises:
            ShapeError: not an image, not boxes, or not rolls of as many faces.
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
            ShapeError: not images, not boxes, not rolls, or not as many of one as of the other.
        """
        if len(images) != len(boxes):
            raise ShapeError(f"{len(images)} images, but boxes for {len(boxes)}")
        checked = [as_boxes(some) for some in boxes]
        turns = None if rolls is None else [_as_rolls(some) for some in rolls]
        if turns is not None and [len(some) for some in turns] != [len(some) for some in checked]:
            raise ShapeError(f"rolls of {[len(some) for some in turns]} faces for {[len(some) for some in checked]}")
        return self.system.align([as_image(image) for image in images], checked, turns)


def _as_rolls(rolls: ArrayLike) -> Floats:
    """Rolls as float32; NaN = not known. Shape (F,).

    Raises:
        ShapeError: a roll that is no number, or infinite.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(rolls, dtype=np.float32).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShapeError(f"rolls are (F,) numbers, in degrees: {error}") from error
    if np.isinf(array).any():
        raise ShapeError(f"roll {int(np.argmax(np.isinf(array)))} is infinite; give degrees, or NaN = not known")
    return array
