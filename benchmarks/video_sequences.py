"""The tracker on sequences that are hard to follow: identities, and the log of the states.

    CANTHUS_DATA=... python benchmarks/video_sequences.py [--json FILE] [--sheet FILE.png]

Photographed faces of wild68 val, moved before a backdrop (`tests/moving_faces.py`): a face that leaves and returns, a
hand that passes over it, cuts between two persons, two faces that cross, ten faces. For each the numbers that every
face had, changes of number, numbers that two faces shared, the times when a face was in the picture and not tracked,
and why each state changed. --sheet draws ten frames of each with what the tracker reported.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from canthus.drawing import draw
from canthus.evaluate.result import as_plain
from canthus.evaluate.video.identities import gaps, identities, shared, switches
from canthus.synth.sheet import save
from canthus.track.step import Step
from canthus.track.tracker import Tracker
from canthus.types import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from moving_faces import Play, plays

SHOWN = 10
"""Frames of a sequence on the sheet."""
TILE = (256, 192)
"""Width and height of a picture on the sheet."""


def figures(play: Play, steps: list[Step]) -> dict[str, Any]:
    """What became of each face of a sequence."""
    numbers = identities([step.faces for step in steps], play.boxes)
    present = np.isfinite(play.boxes[..., 0])
    lost = [
        {
            "face": gap.face,
            "lost": round(gap.lost, 2),
            "regained": None if gap.regained is None else round(gap.regained, 2),
            "same_number": gap.kept,
        }
        for gap in gaps(numbers, present, play.times)
    ]
    return {
        "told": play.told,
        "frames": len(play),
        "faces": len(play.people),
        "numbers": [sorted({int(number) for number in column[np.isfinite(column)]}) for column in numbers.T],
        "switches": switches(numbers),
        "shared": shared(numbers),
        "tracked": float(np.isfinite(numbers[present]).mean()),
        "not_tracked": lost,
        "log": [str(event) for step in steps for event in step.events],
    }


def strip(images: list[Image], steps: list[Step]) -> Image:
    """A row of the sheet: frames evenly spread over the sequence, with the reported faces and their numbers."""
    tiles = []
    for at in np.linspace(0, len(images) - 1, SHOWN).round().astype(int).tolist():
        faces = steps[at].faces
        picture = np.ascontiguousarray(draw(images[at], faces))
        scale = picture.shape[1] / 640
        for box, number, state in zip(faces.boxes, faces.identity, steps[at].states, strict=True):
            place = (round(float(box[0])), round(float(box[1]) - 6 * scale))
            text = f"{number:.0f} {state}"
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.8 * scale, (255, 255, 0), round(2 * scale))
        tiles.append(cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA))
    return np.concatenate(tiles, 1)


def main() -> None:
    """Print logs, and write figures and sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    tracker, found, strips = Tracker.open(), {}, []
    for play in plays(Path(os.environ["CANTHUS_DATA"])):
        images = list(play)
        tracker.reset()
        start = time.perf_counter()
        steps = [tracker.step(image, at) for image, at in zip(images, play.times.tolist(), strict=True)]
        rate = len(steps) / (time.perf_counter() - start)
        found[play.name] = as_plain(figures(play, steps))
        row = found[play.name]
        print(f"\n{play.name}: {play.told}\n  {row['frames']} frames of {play.size}, {rate:.0f} frames/s")
        print(f"  numbers of the faces {row['numbers']}, switches {row['switches']}, shared {row['shared']}")
        print(f"  not tracked: {row['not_tracked']}")
        print("\n".join(f"  {line}" for line in row["log"]))
        strips.append(strip(images, steps))
    if given.json:
        given.json.write_text(
            json.dumps({"command": "scripts/bench video_sequences", "sequences": found}, indent=1) + "\n"
        )
    if given.sheet:
        save(given.sheet, np.concatenate(strips))


if __name__ == "__main__":
    main()
