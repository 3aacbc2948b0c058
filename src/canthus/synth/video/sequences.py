"""Many moving faces in one folder: a sequence of `scene` each, an index of all frames, and a contact sheet."""

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
from canthus.work.files import replace_whole
from canthus.work.jobs import INDEX, SHEET, claim, digest, spread

Columns = dict[str, NDArray[Any]]

ROWS, MOMENTS = 40, 10
"""Sequences on the sheet, and frames of each."""


@dataclass(frozen=True)
class Sequences:
    """What is made; sequences are called 001, 002 and so on.

    Attributes:
        job: What all have in common.
        count: Of sequences.
        seed: Chooses the seed of each.
    """

    job: SceneJob
    count: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ShapeError(f"a run has at least one sequence, not {self.count}")

    @property
    def seeds(self) -> dict[str, int]:
        """Seed of each sequence by its name; those of more sequences begin with those of fewer."""
        numbers = range(1, self.count + 1)
        return {f"{at:03d}": int(np.random.default_rng((self.seed, at)).integers(2**31)) for at in numbers}

    def settings(self) -> dict[str, Any]:
        """All that the result depends on."""
        landmarks = self.job.landmarks or self.job.model.with_name("landmarks.json")
        files = {"model": digest(self.job.model), "landmarks": digest(landmarks)}
        values = {"count": self.count, "seed": self.seed, "frames": self.job.frames, "size": self.job.size}
        backgrounds = [digest(path) for path in self.job.backgrounds]
        return {"kind": "video", **files, **values, "scheme": self.job.scheme, "backgrounds": backgrounds}


def produce_sequences(
    order: Sequences, out: Path, workers: int = 1, tick: Callable[[int], None] | None = None
) -> Columns:
    """Make sequences, or those that are missing.

    Args:
        order: What.
        out: Folder of the run; of an earlier one only with the same order.
        workers: Processes, each with one thread; the result does not depend on it.
        tick: Told the number of sequences that are there, as they are.

    Returns:
        The index of V sequences of N frames: `videos` their names and `seeds` (V,), `pose` (V, N, 3), and for every
        scheme of the model `visible_S` (V, N, P).

    Raises:
        OutputError: the folder holds something else, or cannot be written.
        InputError: the face model or a background cannot be read.
        SchemeError: the model does not have the points of the .pts files.
    """
    claim(out, order.settings())
    jobs = [(order.job, out, name, seed) for name, seed in order.seeds.items()]
    for _ in spread(write_scene, jobs, workers):
        if tick:
            tick(1)
    index = _index(order, out)
    if not (out / INDEX).is_file():
        _draw(order, out, index)
        with replace_whole(out / INDEX) as part:
            np.savez_compressed(part, **index)  # type: ignore[arg-type]
    return index


def _index(order: Sequences, out: Path) -> Columns:
    """What is told of all frames."""
    columns: dict[str, list[NDArray[Any]]] = {}
    for name in order.seeds:
        with open_truth(out / name) as truth:
            for column in truth:
                if column == "pose" or column.startswith("visible_"):
                    columns.setdefault(column, []).append(truth[column])
    named = {"videos": np.array(list(order.seeds)), "seeds": np.array(list(order.seeds.values()))}
    return named | {name: np.stack(rows) for name, rows in columns.items()}


def _draw(order: Sequences, out: Path, index: Columns) -> None:
    """The contact sheet: a row a sequence, evenly spread over the run; time runs to the right."""
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
