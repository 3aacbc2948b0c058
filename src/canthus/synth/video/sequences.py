"""A set of videos of moving faces in one folder: the sequences, an index of all frames, and a contact sheet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.data.scenes import VIDEO, open_truth
from canthus.errors import ShapeError
from canthus.reader.video import VideoFrame
from canthus.synth.sheet import mosaic, save, tile
from canthus.synth.video.scene import SceneJob, write_scene
from canthus.work.arrays import Arrays, save_arrays
from canthus.work.crew import Report
from canthus.work.folder import INDEX, SHEET, claim, digest
from canthus.work.units import make

ROWS, MOMENTS = 40, 10
"""Largest numbers of sequences on the sheet, and of frames of each."""


@dataclass(frozen=True)
class Sequences:
    """What to make; sequences are called 001, 002 and so on.

    Attributes:
        job: What all sequences have in common.
        count: Number of sequences.
        seed: Seed from which that of each sequence is drawn.
    """

    job: SceneJob
    count: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ShapeError(f"a run has at least one sequence, not {self.count}")

    @property
    def seeds(self) -> dict[str, int]:
        """Seed of each sequence by its name; a larger count only adds sequences."""
        numbers = range(1, self.count + 1)
        return {f"{at:03d}": int(np.random.default_rng((self.seed, at)).integers(2**31)) for at in numbers}

    def settings(self) -> dict[str, Any]:
        """Everything that the result depends on, for JSON."""
        landmarks = self.job.landmarks or self.job.model.with_name("landmarks.json")
        files = {"model": digest(self.job.model), "landmarks": digest(landmarks)}
        values = {"count": self.count, "seed": self.seed, "frames": self.job.frames, "size": self.job.size}
        backgrounds = [digest(path) for path in self.job.backgrounds]
        return {"kind": "video", **files, **values, "scheme": self.job.scheme, "backgrounds": backgrounds}


@dataclass(frozen=True)
class _Sequence:
    """The unit of work: one sequence, in its folder."""

    job: SceneJob
    out: Path
    name: str
    seed: int

    @property
    def finished(self) -> bool:
        return (self.out / self.name).exists()

    def make(self, report: Report) -> None:
        write_scene(self.job, self.out, self.name, self.seed)


def produce_sequences(
    order: Sequences, out: Path, workers: int = 1, tick: Callable[[int], None] | None = None
) -> Arrays:
    """Make sequences, or those that are missing.

        >>> order = Sequences(SceneJob(Path("face.npz"), frames=200), count=40)
        >>> produce_sequences(order, Path("data/videos"), workers=4)["pose"].shape
        (40, 200, 3)

    Args:
        order: What to make.
        out: Folder of the run; that of an earlier run only with the same order.
        workers: Number of processes, each with one thread; the result does not depend on it.
        tick: Receives the number of sequences that were finished, as they are.

    Returns:
        The index of V sequences of N frames: `videos` (names) and `seeds` (V,), `pose` (V, N, 3), and `visible_S`
        (V, N, P) for every scheme S of the model.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
        InputError: the face model or a background cannot be read.
        SchemeError: the model does not have the points of the .pts files.
    """
    claim(out, order.settings())
    for _ in make([_Sequence(order.job, out, name, seed) for name, seed in order.seeds.items()], workers):
        if tick:
            tick(1)
    index = _index(order, out)
    if not (out / INDEX).is_file():
        _draw(order, out, index)
        save_arrays(out / INDEX, index)
    return index


def _index(order: Sequences, out: Path) -> Arrays:
    """Names, seeds, poses and visibility of all frames."""
    columns: dict[str, list[NDArray[Any]]] = {}
    for name in order.seeds:
        with open_truth(out / name) as truth:
            for column in truth:
                if column == "pose" or column.startswith("visible_"):
                    columns.setdefault(column, []).append(truth[column])
    named = {"videos": np.array(list(order.seeds)), "seeds": np.array(list(order.seeds.values()))}
    return named | {name: np.stack(rows) for name, rows in columns.items()}


def _draw(order: Sequences, out: Path, index: Arrays) -> None:
    """Draw the contact sheet: one row for each sequence, evenly spread over the run; time runs to the right."""
    count, frames = index["pose"].shape[:2]
    moments = np.linspace(0, frames - 1, min(frames, MOMENTS)).round().astype(int).tolist()
    tiles = []
    for row in np.linspace(0, count - 1, min(count, ROWS)).round().astype(int).tolist():
        name = str(index["videos"][row])
        with open_truth(out / name) as truth:
            points = truth[f"points_{order.job.scheme}"]
        seen = index[f"visible_{order.job.scheme}"][row]
        for at in moments:
            caption = f"{name} {at + 1} {index['pose'][row, at, 0]:.0f}"
            tiles.append(tile(VideoFrame(out / name / VIDEO, at)(), points[at], seen[at], caption))
    save(out / SHEET, mosaic(tiles, len(moments)))
