"""What a training run of the detector, or of the face score, is made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from canthus.nets.settings import Number, Strict
from canthus.train.recipe import Phase, Run, check_recipe, check_run, read_tree


class Scenes(Strict):
    """How the pictures are made that the detector learns from (`scenes.py`).

    Attributes:
        empty: Share of pictures without a face.
        single: Share with one face and all that its picture shows around it; the rest are mosaics.
        most: Faces of a mosaic at most.
        smallest: Longer side of the smallest box, in pixels.
        largest: That of the largest one, over the side of the picture.
        upright: Share of the pictures whose faces are turned by no more than 20 degrees; the others by any angle.
        distractors: Mined false detections pasted into a picture at most.
        backdrops: Backgrounds that are made at the start and varied.
        held: Longer side of a face's box in the pictures held in memory, in pixels.
    """

    empty: Number = Field(0.12, ge=0, le=1)
    single: Number = Field(0.3, ge=0, le=1)
    most: int = Field(10, ge=1)
    smallest: Number = Field(18.0, gt=0)
    largest: Number = Field(0.95, gt=0, le=1)
    upright: Number = Field(0.35, ge=0, le=1)
    distractors: int = Field(4, ge=0)
    backdrops: int = Field(256, ge=1)
    held: int = Field(128, gt=16)


class Mining(Strict):
    """Where false detections are collected (`mining.py`).

    Attributes:
        every: Steps between searches; 0 = none.
        pictures: Pictures without a face that are searched by each process.
        keep: The highest-scoring false detections kept of a search.
        least: Score from which something is a false detection.
        ceiling: Score above which a find is taken for a face that nobody has labelled, and left out.
    """

    every: int = Field(1000, ge=0)
    pictures: int = Field(64, gt=0)
    keep: int = Field(32, gt=0)
    least: Number = Field(0.1, gt=0, le=1)
    ceiling: Number = Field(0.95, gt=0, le=1)


class DetectorLosses(Strict):
    """Weights of the losses (`objectives.py`).

    Attributes:
        score: Of the focal loss on scores.
        box: Of the overlap loss on boxes.
        point: Of the smooth L1 on points, in units of `beta`.
        beta: Unit of the point loss and where it turns linear, over the longer side of the box.
        turn: Of the smooth L1 on sine and cosine of the roll.
        alpha: Weight of positives against negatives in the focal loss.
        gamma: How much easy cells count less.
    """

    score: Number = Field(1.0, ge=0)
    box: Number = Field(1.0, ge=0)
    point: Number = Field(0.25, ge=0)
    beta: Number = Field(0.05, gt=0)
    turn: Number = Field(0.5, ge=0)
    alpha: Number = Field(0.25, gt=0, lt=1)
    gamma: Number = Field(2.0, ge=0)


class DetectorRecipe(Run):
    """A run of the detector; the phases are those of its pictures' sides, multiples of 32.

    Attributes:
        scenes: How pictures are made.
        mining: Where hard negatives come from.
        losses: Weights.
        hide: Bundle of an earlier run: people whom it sees in the pictures and nobody has labelled are hidden.
        val_pictures: Mosaics of the validation, the same at every angle.
        threshold: Score at which validation tells recall and precision.
    """

    network: Literal["detector"]
    scenes: Scenes = Scenes()
    mining: Mining = Mining()
    losses: DetectorLosses = DetectorLosses()
    hide: Path | None = None
    val_pictures: int = Field(48, gt=0)
    threshold: Number = Field(0.5, ge=0, le=1)

    @field_validator("phases")
    @classmethod
    def _multiples(cls, phases: list[Phase]) -> list[Phase]:
        if any(phase.size % 32 for phase in phases):
            raise ValueError("the sides of the detector's pictures are multiples of 32")
        return phases


class FaceScoreLosses(Strict):
    """Weights of the losses.

    Attributes:
        score: Of the cross entropy.
        box: Of the smooth L1 on the box, in units of a tenth of the crop; positives alone.
        point: Of that on the points.
    """

    score: Number = Field(1.0, ge=0)
    box: Number = Field(0.5, ge=0)
    point: Number = Field(0.5, ge=0)


class FaceScoreRecipe(Run):
    """A run of the third stage; `augment` jitters the boxes of faces, the one phase has the size of its crop.

    Attributes:
        positives: Share of crops around faces.
        beside: Share of crops of boxes shifted by about half or of a wrong size; the rest is background.
        backdrops: Backgrounds that are made at the start and varied.
        held: Longer side of a face's box in the pictures held in memory, in pixels.
        losses: Weights.
        hide: Bundle of a detector: people whom it sees in the pictures and nobody has labelled are hidden.
        val_crops: Crops of each kind in validation.
    """

    network: Literal["face_score"]
    positives: Number = Field(0.5, gt=0, lt=1)
    beside: Number = Field(0.25, ge=0, lt=1)
    backdrops: int = Field(256, ge=1)
    held: int = Field(96, gt=16)
    losses: FaceScoreLosses = FaceScoreLosses()
    hide: Path | None = None
    val_crops: int = Field(400, gt=0)


KINDS: dict[str, type[DetectorRecipe] | type[FaceScoreRecipe]] = {
    "detector": DetectorRecipe,
    "face_score": FaceScoreRecipe,
}
"""Kinds of recipes by network, beside those of the systems of landmarks."""


def load_run(path: Path, overrides: Sequence[str] = ()) -> Run:
    """Read a recipe of any kind, as `recipe.load_recipe`.

    Raises:
        RecipeError: no such file, not YAML, an unknown or wrong field (named by its path).
    """
    tree = read_tree(path, overrides)
    network = str(tree.get("network"))
    return check_run(KINDS[network], tree, str(path)) if network in KINDS else check_recipe(tree, str(path))
