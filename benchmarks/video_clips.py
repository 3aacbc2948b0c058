"""Jitter, lag and openings of the tracked faces of real clips, and frames a second.

    CANTHUS_DATA=... python benchmarks/video_clips.py [CLIP ...] [--json FILE] [--sheet FOLDER]

The clips (`$CANTHUS_DATA/clips`) show one moving face each and have no labels. For smoothing off, online and offline:
frames with the face, its numbers and states; jitter, the root mean square second difference over sqrt(6), over
sqrt(w h) of the face, of all frames, and of those in which it stands still or moves; correlation and lag of the
openings of eyes and mouth, and lag of the points, against the points that are not smoothed. The settings were not
chosen on these clips. --sheet writes a sheet of frames in the moments of blinks and of speech for each clip.
"""

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from canthus.drawing import draw
from canthus.evaluate.metrics import normalisers
from canthus.evaluate.result import as_plain
from canthus.evaluate.video.jitter import jitter, still_and_moving
from canthus.evaluate.video.lag import correlation, lag
from canthus.evaluate.video.opening import openings
from canthus.reader.ahead import in_background
from canthus.reader.stream import open_stream
from canthus.schemes.scheme import Scheme
from canthus.synth.sheet import save
from canthus.track.step import Step, smooth_steps
from canthus.track.tracker import Tracker

SCHEME = Scheme.open("68")
SHOWN = 24
"""Pictures on a sheet."""


def tracked(clip: Path, smooth: Any) -> tuple[list[Step], float]:
    """What the tracker says of each frame, and frames a second."""
    tracker, start = Tracker.open(smooth=smooth), time.perf_counter()
    steps = [tracker.step(frame.image, frame.time) for frame in in_background(open_stream(clip))]
    return steps, len(steps) / (time.perf_counter() - start)


def points_of(steps: Sequence[Step]) -> Any:
    """Points of the first face in each frame; NaN where there is none. Shape (N, 68, 2)."""
    empty = np.full((SCHEME.count, 2), np.nan)
    return np.stack([step.faces.points[0].astype(np.float64) if len(step.faces) else empty for step in steps])


def figures(steps: Sequence[Step], plain: Any) -> dict[str, Any]:
    """The figures of a way to smooth; `plain` are the points that are not smoothed (N, 68, 2)."""
    points = points_of(steps)
    size = float(np.nanmedian(normalisers(plain, "box", SCHEME)))
    still, moving = still_and_moving(plain, size)
    row: dict[str, Any] = {
        "frames": len(steps),
        "with_face": int(np.isfinite(points[:, 0, 0]).sum()),
        "identities": sorted({int(number) for step in steps for number in step.faces.identity}),
        "states": Counter(str(state) for step in steps for state in step.states),
        "jitter_percent": _percent(jitter(points, size)),
        "jitter_still_percent": _percent(jitter(points, size, still)),
        "jitter_moving_percent": _percent(jitter(points, size, moving)),
        "over_unsmoothed": round(jitter(points, size) / jitter(plain, size), 3),
        "lag_frames": round(lag(points.reshape(len(points), -1), plain.reshape(len(points), -1)), 3),
    }
    for name, values in openings(points, SCHEME).items():
        reference = openings(plain, SCHEME)[name]
        row[name] = {
            "correlation": round(correlation(values, reference), 4),
            "lag_frames": round(lag(values, reference), 3),
        }
    return row


def _percent(value: float) -> float:
    return round(100 * value, 4)


def write_sheet(path: Path, clip: Path, steps: Sequence[Step], plain: Any) -> None:
    """Draw smoothed points (large picture around the face) where the eyes open or close most, and the mouth."""
    speed = {name: np.abs(np.gradient(values)) for name, values in openings(plain, SCHEME).items()}
    chosen: list[int] = []
    for values in speed.values():
        for at in np.argsort(-np.nan_to_num(values)).tolist():
            if len(chosen) % (SHOWN // 2) == 0 and len(chosen) and values is speed["eyes"]:
                break
            if all(abs(at - other) > 2 for other in chosen):
                chosen.append(at)
            if len(chosen) >= SHOWN:
                break
    wanted, tiles = set(chosen), {}
    for frame in open_stream(clip):
        if frame.index in wanted and frame.image is not None:
            picture = draw(frame.image, steps[frame.index].faces)
            x0, y0, x1, y1 = steps[frame.index].faces.boxes[0].round().astype(int).tolist()
            part = picture[max(y0, 0) : y1, max(x0, 0) : x1]
            tiles[frame.index] = cv2.resize(part, (320, 320), interpolation=cv2.INTER_CUBIC)
    rows = [tiles[at] for at in chosen]
    save(path, np.concatenate([np.concatenate(rows[at : at + 6], 1) for at in range(0, len(rows) - 5, 6)]))


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    folder = Path(os.environ["CANTHUS_DATA"]) / "clips"
    names = given.clips or sorted(path.name for path in folder.glob("*.mp4"))
    found: dict[str, Any] = {}
    for name in names:
        off, _ = tracked(folder / name, "off")
        online, rate = tracked(folder / name, "online")
        plain = points_of(off)
        ways = {"off": off, "online": online, "offline": smooth_steps(off)}
        found[name] = {way: as_plain(figures(steps, plain)) for way, steps in ways.items()}
        found[name]["frames_a_second_online"] = round(rate, 1)
        for way in ways:
            print(f"{name}, {way}: {json.dumps(found[name][way])}", flush=True)
        if given.sheet:
            write_sheet(given.sheet / f"{Path(name).stem}.png", folder / name, online, plain)
    if given.json:
        given.json.write_text(json.dumps({"command": "scripts/bench video_clips", "clips": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
