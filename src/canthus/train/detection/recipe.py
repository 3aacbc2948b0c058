"""Recipes of training runs of the detector and of the face score."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from canthus.face3d.rigid import RigidFace
from canthus.nets.detection.detector import DetectorLosses
from canthus.nets.detection.face_score import FaceScoreLosses
from canthus.nets.settings import Number, Strict
from canthus.train.recipe import Phase, Run, SetShare


class Scenes(Strict):
    """Settings of the pictures that the detector is trained on (`train/detection/scenes.py`).

    Attributes:
        empty: Share of pictures without a face.
        close: Share of pictures that one face fills, often cut off by the border of the picture.
        single: Share of pictures with one face and all that its photograph shows around it; the rest are mosaics of
            several faces.
        most: Largest number of faces of a mosaic.
        smallest: Longer side of the smallest box, in pixels.
        largest: Longer side of the largest box, over the side of the picture.
        enlarged: Largest factor by which a face is enlarged, so that coarse pictures become small faces.
        upright: Share of pictures whose faces are rotated by at most 20 degrees; the others by any angle.
        distractors: Largest number of mined false detections that are pasted into a picture.
        backdrops: Number of backgrounds that are made at the start of a run and varied.
        photographs: Share of the backgrounds that are photographs of the recipe's `faceless` sets.
        memory: Longer side of a face's box in the pictures in memory, in pixels.
    """

    empty: Number = Field(0.12, ge=0, le=1)
    close: Number = Field(0.0, ge=0, le=1)
    single: Number = Field(0.3, ge=0, le=1)
    most: int = Field(10, ge=1)
    smallest: Number = Field(18.0, gt=0)
    largest: Number = Field(0.95, gt=0, le=1)
    enlarged: Number = Field(16.0, gt=0)
    upright: Number = Field(0.35, ge=0, le=1)
    distractors: int = Field(4, ge=0)
    backdrops: int = Field(256, ge=1)
    photographs: Number = Field(0.7, ge=0, le=1)
    memory: int = Field(128, gt=16)


class Mining(Strict):
    """Settings of the search for hard negatives (`train/detection/mining.py`).

    Attributes:
        every: Number of steps between searches; 0 = no search.
        pictures: Number of pictures without a face that each process searches.
        keep: Number of false detections kept of a search, those with the highest scores.
        least: Minimum score of a false detection.
        ceiling: Maximum score of a false detection; what scores higher is left out, since it may be an unlabelled face.
    """

    every: int = Field(1000, ge=0)
    pictures: int = Field(64, gt=0)
    keep: int = Field(32, gt=0)
    least: Number = Field(0.1, gt=0, le=1)
    ceiling: Number = Field(0.95, gt=0, le=1)


class DetectorRecipe(Run):
    """A training run of the detector; the sizes of its phases are the sides of its pictures, multiples of 32.

    Attributes:
        scenes: Settings of the pictures.
        mining: Settings of the search for hard negatives.
        losses: Weights and scales of the losses.
        hide: Bundle of a detector, its file or name; unlabelled faces that it finds in the photographs are blurred out,
            so that they are not learnt as background; None = they stay.
        faceless: Sets of photographs without a face: backgrounds, and pictures that are searched for hard negatives.
        val_faceless: The same for validation; none = made backdrops.
        face_model: File of the face model, under the folder of the data sets, whose mean gives the outlines of faces
            with five points; None = no such sets.
        val_pictures: Number of mosaics in validation, the same at every rotation.
        threshold: Minimum score of the detections of which validation reports recall and precision.
    """

    network: Literal["detector"]
    scenes: Scenes = Scenes()
    mining: Mining = Mining()
    losses: DetectorLosses = DetectorLosses()
    hide: Path | None = None
    faceless: list[SetShare] = Field(default_factory=list)
    val_faceless: list[SetShare] = Field(default_factory=list)
    face_model: str | None = None
    val_pictures: int = Field(48, gt=0)
    threshold: Number = Field(0.5, ge=0, le=1)

    @field_validator("phases")
    @classmethod
    def _multiples(cls, phases: list[Phase]) -> list[Phase]:
        if any(phase.size % 32 for phase in phases):
            raise ValueError("the sides of the detector's pictures are multiples of 32")
        return phases


def solid_of(recipe: DetectorRecipe, root: Path) -> RigidFace | None:
    """The mean 3D face of a recipe, which lies under the folder of the data sets; None = it has none.

    Raises:
        DataError: its file is missing or damaged.
    """
    return RigidFace.open(root / recipe.face_model) if recipe.face_model else None


class FaceScoreRecipe(Run):
    """A training run of the face score; its one phase has the size of the network's crop.

    Attributes:
        positives: Share of crops around faces, whose boxes `augment` jitters.
        beside: Share of crops of boxes that are shifted by about half a side or of a wrong size; the rest are
            backgrounds.
        backdrops: Number of backgrounds that are made at the start of a run and varied.
        memory: Longer side of a face's box in the pictures in memory, in pixels.
        losses: Weights of the losses.
        hide: Bundle of a detector, its file or name; unlabelled faces that it finds in the photographs are blurred out,
            so that they are not learnt as background; None = they stay.
        val_crops: Number of crops of each kind in validation.
    """

    network: Literal["face_score"]
    positives: Number = Field(0.5, gt=0, lt=1)
    beside: Number = Field(0.25, ge=0, lt=1)
    backdrops: int = Field(256, ge=1)
    memory: int = Field(96, gt=16)
    losses: FaceScoreLosses = FaceScoreLosses()
    hide: Path | None = None
    val_crops: int = Field(400, gt=0)


RECIPES: Mapping[str, type[DetectorRecipe] | type[FaceScoreRecipe]] = {
    "detector": DetectorRecipe,
    "face_score": FaceScoreRecipe,
}
"""Kind of recipe of each network in `nets.detection.networks.DETECTION`."""
