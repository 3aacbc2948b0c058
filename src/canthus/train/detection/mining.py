"""Hard negatives: false detections in pictures without a face, which later training pictures show again.

Every `mining.every` steps each process runs the detector on pictures without a face and keeps the false detections with
the highest scores in a file in the folder of the run. A batch uses the files of its own process that are at least `LAG`
steps older. So workers that prepare batches ahead, and runs that are resumed, use the same ones.
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
from canthus.train.detection.scenes import SceneMaker
from canthus.train.detection.task import detector_of
from canthus.types import Faces, Floats, Image
from canthus.work.arrays import load_arrays
from canthus.work.files import replace_whole

LAG = 50
"""Number of steps after which a search is used; more than any worker prepares ahead."""
SIDE = 96
"""Side of a mined piece, in pixels."""
AROUND = 1.6
"""Side of a mined piece over that of the false detection, in the picture."""


class Bank:
    """The mined pieces of one process, in files."""

    def __init__(self, folder: Path, process: int, every: int) -> None:
        """Open the files of a process.

        Args:
            folder: Folder of the run.
            process: Number of the process among those of the recipe.
            every: Number of steps between searches; 0 = no search.
        """
        self.folder, self.process, self.every = folder, process, every

    def path(self, step: int) -> Path:
        """File of the search after a step."""
        return self.folder / "negatives" / f"{step}-{self.process}.npz"

    def add(self, step: int, pieces: Sequence[Image]) -> None:
        """Write the pieces that the search after a step has found."""
        path = self.path(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, pieces=np.array(pieces, np.uint8).reshape(-1, SIDE, SIDE, 3))

    def before(self, step: int) -> Sequence[Image]:
        """The pieces that the batch of a step may use."""
        last = 0 if self.every == 0 or step < LAG else (step - LAG) // self.every * self.every
        return _pieces(tuple(self.path(one) for one in range(self.every, last + 1, self.every)) if last else ())


@lru_cache(maxsize=1)
def _pieces(paths: tuple[Path, ...]) -> Sequence[Image]:
    found: list[Image] = []
    for path in paths:
        if not path.is_file():
            raise DataError(
                f"{path} is missing, mined negatives of this run; start the run again, or set mining.every=0"
            )
        found += list(load_arrays(path, "not a file of mined negatives", "start the run again", ["pieces"])["pieces"])
    return found


class Miner(Callback):
    """Searches for hard negatives between steps."""

    def __init__(self, maker: SceneMaker, recipe: DetectorRecipe, bank: Bank) -> None:
        self.maker, self.recipe, self.bank = maker, recipe, bank

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: object) -> None:
        """Search if a search is due after this step."""
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
    """Pieces around the false detections with the highest scores.

    Args:
        pictures: Pictures without a face, each (H, W, 3).
        found: Detections in each picture.
        keep: Largest number of pieces.
        ceiling: Maximum score; what scores higher is left out, since it may be an unlabelled face.

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
