"""From fitted photographs to a data set on disk: pictures, an index of all labels, a contact sheet.

The work is planned in rounds: what was refused is made up for from other photographs. A plan depends on what earlier
rounds made and on nothing else, so the result is the same whatever the number of processes, and a run that was killed
goes on where it stopped. docs/data-factory.md has the layout.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError, OutputError
from canthus.synth.sheet import write_sheet
from canthus.types import Image
from canthus.work.files import replace_whole
from canthus.work.jobs import INDEX, SHEET, claim, spread

Columns = dict[str, NDArray[Any]]

SUMMARY, PARTS = "summary.json", "parts"
CHUNK = 16
"""Pictures a process makes at a time; so much is lost by a kill."""
ROUNDS = 6
"""Times that refused pictures are made up for."""
QUALITY = 92


@dataclass(frozen=True)
class Task:
    """One picture to be made.

    Attributes:
        number: Of the picture, unique in a run.
        face: Of the photographs.
        turn: Degrees that it is turned.
    """

    number: int
    face: int
    turn: float = 0.0


@dataclass(frozen=True, eq=False)
class Made:
    """A picture and its row of the index.

    Attributes:
        image: Shape (S, S, 3).
        row: Its labels; every row of a run has the same names and shapes.
    """

    image: Image
    row: Mapping[str, Any]


class Order(Protocol):
    """What is to be made; a value that processes can be sent."""

    @property
    def count(self) -> int:
        """Pictures wanted."""
        ...

    def settings(self) -> dict[str, Any]:
        """All that the result depends on, for JSON."""
        ...

    def plan(self, outcomes: Mapping[Task, str]) -> list[Task]:
        """What to make next, by why earlier tasks were refused ("" = made); empty = nothing."""
        ...

    def make(self, task: Task) -> Made | str:
        """The picture, or why it is refused."""
        ...


@dataclass(frozen=True)
class Summary:
    """What a run made.

    Attributes:
        wanted: Pictures asked for.
        made: Pictures there are.
        rejected: Pictures refused, by reason; numbers in a reason are N.
        azimuths: Pictures in every ten degrees of azimuth from -90 to 90.
    """

    wanted: int
    made: int
    rejected: Mapping[str, int]
    azimuths: tuple[int, ...]

    @property
    def rejected_share(self) -> float:
        """Refused pictures over all that were tried."""
        refused = sum(self.rejected.values())
        return refused / max(1, refused + self.made)


def produce(order: Order, out: Path, workers: int = 1, tick: Callable[[int], None] | None = None) -> Summary:
    """Make a data set, or what is missing of it.

    Args:
        order: What.
        out: Its folder; of an earlier run only with the same order.
        workers: Processes, each with one thread; the result does not depend on it.
        tick: Told the number of pictures that have been made, as they are.

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
    parts: list[Columns] = []
    for turn in range(ROUNDS):
        tasks = order.plan(outcomes)
        if not tasks:
            break
        chunks = [tuple(tasks[at : at + CHUNK]) for at in range(0, len(tasks), CHUNK)]
        paths = [out / PARTS / f"{turn}_{number:05d}.npz" for number in range(len(chunks))]
        for path, chunk in zip(_made(order, out, paths, chunks, workers), chunks, strict=True):
            part = _read_part(path)
            reasons = part.pop("reasons")
            outcomes |= {task: str(reason) for task, reason in zip(chunk, reasons, strict=True)}
            made = int((reasons == "").sum())
            if made:
                parts.append(part)
            if tick:
                tick(made)
    if not parts:
        refused = next(iter(outcomes.values()), "the photographs suit none")
        raise DataError(f"{out}: none of the {order.count} pictures could be made; the first: {refused}")
    return _finish(order, out, outcomes, parts)


def _made(
    order: Order, out: Path, paths: Sequence[Path], chunks: Sequence[tuple[Task, ...]], workers: int
) -> Iterator[Path]:
    """The parts in order, each as soon as it is there."""
    todo = {path: (order, out, path, chunk) for path, chunk in zip(paths, chunks, strict=True) if not path.is_file()}
    made = spread(_make_part, list(todo.values()), workers)
    for path in paths:
        if path in todo:
            next(made)
        yield path


def _make_part(order: Order, out: Path, path: Path, tasks: Sequence[Task]) -> None:
    """The pictures of some tasks, then the file of their rows that says that they are there."""
    rows: list[dict[str, Any]] = []
    reasons = []
    for task in tasks:
        made = order.make(task)
        reasons.append(made if isinstance(made, str) else "")
        if isinstance(made, str):
            continue
        name = f"images/{task.number // 1000:03d}/{task.number:06d}.jpg"
        _write_image(out / name, made.image)
        rows.append({"images": name, "number": task.number, **made.row})
    columns: Columns = {key: np.array([row[key] for row in rows]) for key in rows[0]} if rows else {}
    with replace_whole(path) as part:
        np.savez(part, reasons=np.array(reasons, str), **columns)  # type: ignore[arg-type]


def _write_image(path: Path, image: Image) -> None:
    good, data = cv2.imencode(path.suffix, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not good:
        raise OutputError(f"{path}: OpenCV cannot write this picture {image.shape}")
    with replace_whole(path) as part:
        part.write_bytes(data.tobytes())


def _read_part(path: Path) -> Columns:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def _finish(order: Order, out: Path, outcomes: Mapping[Task, str], parts: Sequence[Columns]) -> Summary:
    """Summary, contact sheet and, last, the index; then the parts go."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rank = np.argsort(columns.pop("number"))
    columns = {name: value[rank] for name, value in columns.items()}
    refused = Counter(re.sub(r"-?\d+(\.\d+)?", "N", reason) for reason in outcomes.values() if reason)
    histogram, _ = np.histogram(columns["azimuth"], np.linspace(-90, 90, 19))
    summary = Summary(order.count, len(rank), dict(sorted(refused.items())), tuple(histogram.tolist()))
    with replace_whole(out / SUMMARY) as part:
        part.write_text(json.dumps(vars(summary), indent=1) + "\n", encoding="utf-8")
    write_sheet(out / SHEET, out, columns)
    with replace_whole(out / INDEX) as part:
        np.savez_compressed(part, **columns)  # type: ignore[arg-type]
    shutil.rmtree(out / PARTS)
    return summary


def _read_summary(path: Path) -> Summary:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        return Summary(tree["wanted"], tree["made"], tree["rejected"], tuple(tree["azimuths"]))
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{path}: is damaged: {error}; delete the folder and make it again") from error
