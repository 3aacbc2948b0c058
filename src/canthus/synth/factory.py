"""From fitted photographs to a data set on disk: pictures, an index of all labels, a contact sheet.

The work is planned in rounds: pictures that were refused are replaced in the next round by some of other photographs. A
plan depends only on what earlier rounds made, so the result does not depend on the number of processes, and a run that
was killed can be resumed. docs/data-factory.md has the layout.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from canthus.errors import DataError, InputError, OutputError
from canthus.synth.sheet import write_sheet
from canthus.types import Image
from canthus.work.arrays import Arrays, joined, load_arrays, save_arrays
from canthus.work.crew import Report
from canthus.work.documents import read_json
from canthus.work.files import replace_whole
from canthus.work.folder import INDEX, SHEET, claim
from canthus.work.units import make

SUMMARY, PARTS = "summary.json", "parts"
CHUNK = 16
"""Number of pictures in a unit of work; a kill loses at most so many in each process."""
ROUNDS = 6
"""Largest number of rounds."""
QUALITY = 92
"""JPEG quality of the pictures, 0..100."""


@dataclass(frozen=True)
class Task:
    """One picture to be made.

    Attributes:
        number: Number of the picture, unique in a run.
        face: Row of the photograph in its table.
        turn: Rotation about the axis of the head, degrees.
    """

    number: int
    face: int
    turn: float = 0.0


@dataclass(frozen=True, eq=False)
class Made:
    """A picture and its row of the index.

    Attributes:
        image: The picture. Shape (S, S, 3).
        row: Its labels by name; every row of a run has the same names and shapes.
    """

    image: Image
    row: Mapping[str, Any]


class Order(Protocol):
    """What to make; a value that can be sent to another process."""

    @property
    def count(self) -> int:
        """Number of pictures wanted."""
        ...

    def settings(self) -> dict[str, Any]:
        """Everything that the result depends on, for JSON."""
        ...

    def plan(self, outcomes: Mapping[Task, str]) -> list[Task]:
        """The tasks of the next round; none = no more.

        Args:
            outcomes: Reason why each earlier task was refused; "" = it was made.
        """
        ...

    def make(self, task: Task) -> Made | str:
        """The picture, or the reason why it is refused."""
        ...


@dataclass(frozen=True)
class Summary:
    """What a run made.

    Attributes:
        wanted: Number of pictures asked for.
        made: Number of pictures made.
        rejected: Number of pictures refused, by reason; numbers in a reason are replaced by N.
        azimuths: Number of pictures in every ten degrees of azimuth from -90 to 90.
    """

    wanted: int
    made: int
    rejected: Mapping[str, int]
    azimuths: tuple[int, ...]

    @property
    def rejected_share(self) -> float:
        """Share of the pictures that were tried that was refused."""
        refused = sum(self.rejected.values())
        return refused / max(1, refused + self.made)


def produce(order: Order, out: Path, workers: int = 1, tick: Callable[[int], None] | None = None) -> Summary:
    """Make a data set, or what is missing of it.

        >>> order = Views(Path("face.npz"), Path("wild68-train.npz"), Path("data/wild68"), count=20_000)
        >>> produce(order, Path("data/views/train"), workers=4).made
        20000

    Args:
        order: What to make.
        out: Folder of the run; that of an earlier run only with the same order.
        workers: Number of processes, each with one thread; the result does not depend on it.
        tick: Receives the number of pictures that were made, as they are.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
        DataError: no picture could be made.
        InputError: the photographs or the face model cannot be read.
    """
    claim(out, order.settings())
    if (out / INDEX).is_file():
        shutil.rmtree(out / PARTS, ignore_errors=True)
        return _read_summary(out / SUMMARY)
    outcomes: dict[Task, str] = {}
    parts: list[Arrays] = []
    for number in range(ROUNDS):
        tasks = order.plan(outcomes)
        if not tasks:
            break
        for part in make(_parts(order, out, number, tasks), workers):
            rows = load_arrays(part.path, "a damaged part", "remove it and run the same command again")
            reasons = rows.pop("reasons")
            outcomes |= {task: str(reason) for task, reason in zip(part.tasks, reasons, strict=True)}
            made = int((reasons == "").sum())
            if made:
                parts.append(rows)
            if tick:
                tick(made)
    if not parts:
        refused = next(iter(outcomes.values()), "no photograph is suited")
        raise DataError(f"{out}: none of the {order.count} pictures could be made; the first: {refused}")
    return _finish(order, out, outcomes, parts)


@dataclass(frozen=True)
class _Part:
    """The unit of work: some pictures, and the file of their rows, which is written last."""

    path: Path
    out: Path
    order: Order
    tasks: tuple[Task, ...]

    @property
    def finished(self) -> bool:
        return self.path.is_file()

    def make(self, report: Report) -> None:
        rows: list[dict[str, Any]] = []
        reasons = []
        for task in self.tasks:
            made = self.order.make(task)
            reasons.append(made if isinstance(made, str) else "")
            if isinstance(made, str):
                continue
            name = f"images/{task.number // 1000:03d}/{task.number:06d}.jpg"
            _write_image(self.out / name, made.image)
            rows.append({"images": name, "number": task.number, **made.row})
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]} if rows else {}
        save_arrays(self.path, {"reasons": np.array(reasons, str), **columns}, compress=False)


def _parts(order: Order, out: Path, number: int, tasks: Sequence[Task]) -> list[_Part]:
    """The parts of a round."""
    return [
        _Part(out / PARTS / f"{number}_{at // CHUNK:05d}.npz", out, order, tuple(tasks[at : at + CHUNK]))
        for at in range(0, len(tasks), CHUNK)
    ]


def _write_image(path: Path, image: Image) -> None:
    good, data = cv2.imencode(path.suffix, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not good:
        raise OutputError(f"{path}: OpenCV cannot write this picture {image.shape}")
    with replace_whole(path) as part:
        part.write_bytes(data.tobytes())


def _finish(order: Order, out: Path, outcomes: Mapping[Task, str], parts: Sequence[Arrays]) -> Summary:
    """Write summary, contact sheet and, last, the index; then remove the parts."""
    columns = joined(parts)
    rank = np.argsort(columns.pop("number"))
    columns = {name: value[rank] for name, value in columns.items()}
    refused = Counter(re.sub(r"-?\d+(\.\d+)?", "N", reason) for reason in outcomes.values() if reason)
    histogram, _ = np.histogram(columns["azimuth"], np.linspace(-90, 90, 19))
    summary = Summary(order.count, len(rank), dict(sorted(refused.items())), tuple(histogram.tolist()))
    with replace_whole(out / SUMMARY) as part:
        part.write_text(json.dumps(vars(summary), indent=1) + "\n", encoding="utf-8")
    write_sheet(out / SHEET, out, columns)
    save_arrays(out / INDEX, columns)
    shutil.rmtree(out / PARTS)
    return summary


def _read_summary(path: Path) -> Summary:
    try:
        tree = read_json(path, InputError, "restore the file")
        return Summary(tree["wanted"], tree["made"], tree["rejected"], tuple(tree["azimuths"]))
    except (InputError, TypeError, KeyError) as error:
        raise OutputError(f"{path}: is damaged: {error}; delete the folder and run the command again") from error
