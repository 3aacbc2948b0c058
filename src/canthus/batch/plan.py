"""What a batch works on, kept in its folder: all pictures and videos, in parts that are worked on one by one.

The division into parts depends on the number of pictures alone, so that a run can be resumed with another number of
processes, or by another engine.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from canthus.batch.inputs import Entry
from canthus.errors import OutputError
from canthus.formats.arrow import arrow
from canthus.work.files import replace_whole

PLAN, PICTURES, VIDEOS = "plan.json", "pictures.parquet", "videos.parquet"
"""Names of the files of a plan."""
SMALLEST, LARGEST, SHARE = 16, 1024, 64
"""A part has a 64th of the pictures, rounded down to a power of two, but at least 16 and at most 1,024."""


@dataclass(frozen=True)
class Part:
    """Some pictures, or one video, whose rows are written together.

    Attributes:
        number: Number of the part, from 0.
        start: Number of its first picture in the run, from 0. Videos come after all pictures.
        stop: Number after its last one.
        piece: Whether it is a piece of the part `number`: one of its pictures alone.
    """

    number: int
    start: int
    stop: int
    piece: bool = False

    @property
    def name(self) -> str:
        """Name of its tables without an extension."""
        return f"part-{self.number:06d}" + f"-{self.start:09d}" * self.piece

    @property
    def pieces(self) -> "list[Part]":
        """Its pictures, one by one."""
        return [Part(self.number, at, at + 1, piece=True) for at in range(self.start, self.stop)]


@dataclass(frozen=True)
class Plan:
    """The pictures and videos of a batch.

    Attributes:
        folder: Folder of the plan.
        pictures: Number of pictures.
        videos: Number of videos.
        digest: Hash of all their names.
    """

    folder: Path
    pictures: int
    videos: int
    digest: str

    @classmethod
    def make(cls, folder: Path, entries: Iterable[Entry]) -> "Plan":
        """Write the plan of a run, or check that it is the one that is there.

        Args:
            folder: Folder of the plan.
            entries: The pictures and videos.

        Raises:
            OutputError: it cannot be written, or the run began with other pictures.
        """
        listed = _Hashed(entries)
        if (folder / PLAN).is_file():
            for _ in listed:
                pass
            there = cls._read(folder)
            if there.digest != listed.digest:
                raise OutputError(
                    f"{folder.parent}: its run began with {there.pictures:,} pictures and {there.videos:,} videos, and "
                    f"now there are {listed.pictures:,} and {listed.videos:,}, or others; choose another folder"
                )
            return there
        with replace_whole(folder / PICTURES) as pictures, replace_whole(folder / VIDEOS) as videos:
            _write(listed, pictures, videos)
        plan = cls(folder, listed.pictures, listed.videos, listed.digest)
        with replace_whole(folder / PLAN) as part:
            part.write_text(json.dumps(asdict(plan) | {"folder": ""}) + "\n", encoding="utf-8")
        return plan

    @classmethod
    def _read(cls, folder: Path) -> "Plan":
        try:
            tree = json.loads((folder / PLAN).read_text(encoding="utf-8"))
            return cls(folder, int(tree["pictures"]), int(tree["videos"]), str(tree["digest"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{folder / PLAN}: is damaged: {error}; remove {folder.parent}") from error

    @property
    def size(self) -> int:
        """Number of pictures of a part."""
        share = max(self.pictures // SHARE, 1)
        return min(max(1 << share.bit_length() - 1, SMALLEST), LARGEST)

    @property
    def total(self) -> int:
        """Number of pictures and videos."""
        return self.pictures + self.videos

    def parts(self) -> Iterator[Part]:
        """All parts: those of pictures, then a part for each video."""
        starts = range(0, self.pictures, self.size)
        yield from (Part(number, start, min(start + self.size, self.pictures)) for number, start in enumerate(starts))
        yield from (Part(len(starts) + at, self.pictures + at, self.pictures + at + 1) for at in range(self.videos))

    def entries(self, part: Part) -> list[Entry]:
        """The pictures of a part, or its video.

        Raises:
            OutputError: the plan cannot be read.
        """
        pyarrow, parquet = arrow()
        path = self.folder / (PICTURES if part.start < self.pictures else VIDEOS)
        start = part.start if part.start < self.pictures else part.start - self.pictures
        group, within = divmod(start, LARGEST)
        try:
            with parquet.ParquetFile(path) as file:
                table = file.read_row_group(group).slice(within, part.stop - part.start)
            names, rows = (table.column(name).to_pylist() for name in ("path", "row"))
        except (pyarrow.ArrowException, OSError, IndexError) as error:
            raise OutputError(f"{path}: is damaged: {error}; remove {self.folder.parent}") from error
        return [Entry(os.fsdecode(name), row) for name, row in zip(names, rows, strict=True)]


class _Hashed:
    """Entries that are counted and hashed while they are taken."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries, self._hash = entries, sha256()
        self.pictures = self.videos = 0

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries:
            self._hash.update(os.fsencode(f"{entry.path}\0{entry.row}\n"))
            self.videos += entry.video
            self.pictures += not entry.video
            yield entry

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()[:16]


def _write(entries: Iterable[Entry], pictures: Path, videos: Path) -> None:
    """Write pictures and videos to a file each, in row groups of `LARGEST`: no part is divided among two."""
    pyarrow, parquet = arrow()
    schema = pyarrow.schema({"path": pyarrow.binary(), "row": pyarrow.int64()}.items())

    def write(writer: Any, some: list[Entry]) -> None:
        columns = [[os.fsencode(entry.path) for entry in some], [entry.row for entry in some]]
        writer.write_table(pyarrow.table(columns, schema=schema))

    with parquet.ParquetWriter(pictures, schema) as first, parquet.ParquetWriter(videos, schema) as second:
        held: dict[bool, list[Entry]] = {False: [], True: []}
        for entry in entries:
            some = held[entry.video]
            some.append(entry)
            if len(some) == LARGEST:
                write(second if entry.video else first, some)
                some.clear()
        for video, some in held.items():
            if some:
                write(second if video else first, some)
