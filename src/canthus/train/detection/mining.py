"""Hard negatives: what the detector takes for a face in pictures that have none, fed back as pieces to paste.

Every `mining.every` steps each process searches pictures that it makes for that step and keeps the highest-scoring
false detections in a file of the run's folder, whole or not at all. A batch uses the files of its own process that are
at least `LAG` steps older, so that workers which prepare batches ahead, and a run that is resumed, see the same ones.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from torch import nn

from canthus.errors import DataError
from canthus.geometry.crop import crop_matrix, warp
from canthus.train.detection.recipe import DetectorRecipe
from canthus.train.detection.scenes import Maker
from canthus.types import Faces, Floats, Image
from canthus.work.files import replace_whole

LAG = 50
"""More steps than any worker prepares ahead."""
SIDE = 96
"""Of a mined piece, in pixels."""
AROUND = 1.6
"""Side of a mined piece over that of the false box."""


class Bank:
    """The mined pieces of a process."""

    def __init__(self, folder: Path, process: int, every: int) -> None:
        """Look into the folder of a run; `every` steps there is a search, 0 = never."""
        self.folder, self.process, self.every = folder, process, every

    def path(self, step: int) -> Path:
        """File of the search after a step."""
        return self.folder / "negatives" / f"{step}-{self.process}.npz"

    def add(self, step: int, pieces: Sequence[Image]) -> None:
        """Write what a search has found."""
        path = self.path(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, pieces=np.array(pieces, np.uint8).reshape(-1, SIDE, SIDE, 3))

    def before(self, step: int) -> Sequence[Image]:
        """The pieces that a batch may use."""
        last = 0 if self.every == 0 or step < LAG else (step - LAG) // self.every * self.every
        return _pieces(tuple(self.path(one) for one in range(self.every, last + 1, self.every)) if last else ())


@lru_cache(maxsize=1)
def _pieces(paths: tuple[Path, ...]) -> Sequence[Image]:
    found: list[Image] = []
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing: what a search has found; begin the run anew, or set mining.every=0")
        with np.load(path) as archive:
            found += list(archive["pieces"])
    return found


class Miner(Callback):
    """Searches between steps."""

    def __init__(self, maker: Maker, recipe: DetectorRecipe, bank: Bank) -> None:
        self.maker, self.recipe, self.bank = maker, recipe, bank

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: object) -> None:
        """Search when it is time."""
        from canthus.train.detection.task import detector_of

        step, settings = trainer.global_step, self.recipe.mining
        if settings.every == 0 or step == 0 or step % settings.every:
            return
        rng = np.random.default_rng((self.recipe.seed, step, self.bank.process, 1))
        size = self.recipe.size_at(step)
        pictures = [self.maker.empty(size, rng) for _ in range(settings.pictures)]
        assert isinstance(module.net, nn.Module)
        with detector_of(module.net, settings.least) as detector:
            found = detector.detect_many(pictures)
        self.bank.add(step, hardest(pictures, found, settings.keep, settings.ceiling))


def hardest(pictures: Sequence[Image], found: Sequence[Faces], keep: int, ceiling: float) -> list[Image]:
    """Pieces around the highest-scoring of what was found in pictures without a face.

    Args:
        pictures: Each (H, W, 3).
        found: Of each picture.
        keep: Pieces at most.
        ceiling: What scores higher is left out: it may be a face that nobody has labelled.

    Returns:
        Pieces (96, 96, 3).
    """
    rows: list[tuple[float, Image, Floats]] = [
        (face.confidence, picture, face.box)
        for picture, faces in zip(pictures, found, strict=True)
        for face in faces
        if face.confidence <= ceiling
    ]
    rows.sort(key=lambda row: -row[0])
    return [warp(picture, crop_matrix(box, SIDE, AROUND), SIDE) for _, picture, box in rows[:keep]]
