"""Thousands of pictures of several sizes and formats through one pipeline: memory, open files and threads stay flat.

The pictures are those of the data sets, scaled and stored in other formats, some cut off; they are repeated, each time
under another name. `scripts/soak` runs this; the figures are in docs/reliability.md. It reads /proc, so it needs Linux.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

from canthus.batch.folder import Summary, process_files
from canthus.pipeline import Pipeline
from canthus.reader.image import read
from canthus.writer.images import ResultFolder

SETS = ("wild68", "ytf68", "portraits5", "fairface", "aflw68", "infant68", "backdrops")
SIDES = (96, 200, 320, 480, 640, 960, 1600)
"""Longer sides of the pictures in pixels."""
FORMATS = ("jpg", "png", "webp", "bmp", "tiff", "ppm", "gif", "deep.png", "grey.png", "alpha.png")
POOL, CUT = 250, 50
"""Number of pictures that are repeated, and number of pictures of which one is cut off in its middle."""
STEP, WARM = 1000, 1000
"""Number of pictures between two measurements, a multiple of `POOL`, and until buffers and caches have their size."""
GROWTH = 0.05
"""Share by which the memory may grow from the first half of the other measurements to the second."""


@dataclass(frozen=True)
class Usage:
    """What a process takes: resident memory in MB, open files, threads."""

    memory: float
    files: int
    threads: int

    @classmethod
    def now(cls) -> "Usage":
        """What this process takes now."""
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a handle of its own is among them, each time
        return cls(int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"]))


def stored(image: np.ndarray, kind: str) -> np.ndarray:
    """A picture as a format stores it."""
    if kind == "deep.png":
        return image.astype(np.uint16) * 257
    if kind == "grey.png":
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return cv2.cvtColor(image, cv2.COLOR_BGR2BGRA) if kind == "alpha.png" else image


def pictures(root: Path, folder: Path) -> Iterator[Path]:
    """Make the pictures that are repeated."""
    sources = [sorted((root / name / "images").rglob("*.jpg")) for name in SETS]
    each = -(-POOL // len(sources))
    chosen = [path for some in sources for path in some[:: max(1, len(some) // each)][:each]][:POOL]
    for number, (path, side, kind) in enumerate(zip(chosen, cycle(SIDES), cycle(FORMATS), strict=False)):
        image = np.asarray(read(path))[..., ::-1]
        scale = side / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        made = folder / f"{number}.{kind}"
        assert cv2.imwrite(str(made), stored(image, kind)), made
        if number % CUT == CUT - 1:
            os.truncate(made, made.stat().st_size // 2)
        yield made


def soak(root: Path, count: int) -> bool:
    """Process `count` pictures and print a table; returns whether nothing grew."""
    with tempfile.TemporaryDirectory(prefix="canthus-soak-") as place:
        folder = Path(place)
        for name in ("pool", "in"):
            (folder / name).mkdir()
        pool = list(pictures(root, folder / "pool"))
        files = [folder / "in" / f"{index}-{path.name}" for index, path in enumerate(islice(cycle(pool), count))]
        for file, path in zip(files, cycle(pool), strict=False):
            os.link(path, file)
        print(f"{count:,} pictures, repetitions of {len(pool)}\n\n| pictures | memory, MB | open files | threads |")
        print("|---|---|---|---|", flush=True)
        taken: dict[int, Usage] = {}

        def measure(summary: Summary) -> None:
            done = summary.images + len(summary.failures)
            if done % STEP == 0:
                taken[done] = usage = Usage.now()
                print(f"| {done:,} | {usage.memory:.0f} | {usage.files} | {usage.threads} |", flush=True)

        with ResultFolder(folder / "out", files, folder / "in", ("json",)) as results:
            summary = process_files(Pipeline.open(), files, results, progress=measure)
        print(f"\n{summary.faces:,} faces, {len(summary.failures):,} pictures refused, {summary.seconds:.0f} s")
        return flat([usage for done, usage in taken.items() if done > WARM])


def flat(taken: list[Usage]) -> bool:
    """Whether files and threads are no more in the later half, and the memory grows by less than `GROWTH`."""
    half = len(taken) // 2
    before, after = (np.mean([usage.memory for usage in some]) for some in (taken[:half], taken[half:]))
    print(f"mean memory of the later half of the measurements over that of the earlier: {after / before - 1:+.1%}")
    most = [
        (max(usage.files for usage in some), max(usage.threads for usage in some))
        for some in (taken[:half], taken[half:])
    ]
    return most[1][0] <= most[0][0] and most[1][1] <= most[0][1] and after / before - 1 <= GROWTH


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000, help=f"number of pictures, at least {2 * STEP + WARM}")
    parser.add_argument("--root", type=Path, default=os.environ.get("CANTHUS_DATA"), help="folder of the data sets")
    asked = parser.parse_args()
    if asked.root is None or asked.pictures < 2 * STEP + WARM:
        parser.error("name the folder of the data sets by CANTHUS_DATA or --root, and enough pictures")
    sys.exit(not soak(asked.root, asked.pictures))
