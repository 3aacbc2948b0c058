"""Agreement of two models on faces without labels that neither was trained on, by race, age and gender.

Run by `scripts/bench agreement --other models/large.canthus`, data sets in CANTHUS_DATA. Both models start from boxes
that the first one finds in two passes. Distance: mean over the points, in percent of sqrt(w h) of that box. Low scores:
share of the points whose reliability is below one half. The last lines give the largest distance over the smallest one
among the groups of each kind.
"""

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.geometry.crop import box_of

HELD_OUT = "list/part-80-100"
"""Faces on which no model of canthus was trained."""
CHUNK = 64
"""Pictures in memory at a time."""
KINDS = ("race", "age", "gender")
Row = tuple[Sample, float, float]
"""A face, its distance and its share of low scores, both in percent."""


def rows_of(samples: list[Sample], model: Aligner, other: Aligner) -> Iterator[Row]:
    """Measure each face."""
    for start in range(0, len(samples), CHUNK):
        some = samples[start : start + CHUNK]
        images = [sample.picture() for sample in some]
        boxes: NDArray[np.float32] = np.stack([sample.box for sample in some])  # type: ignore[misc]
        for _ in range(2):
            found = model.align_many(images, [box[None] for box in boxes])
            boxes = box_of(np.concatenate([faces.points for faces in found]))
        ours, theirs = (each.align_many(images, [box[None] for box in boxes]) for each in (model, other))
        for sample, box, a, b in zip(some, boxes, ours, theirs, strict=True):
            side = float(np.sqrt(np.prod(box[2:] - box[:2])))
            distance = float(np.linalg.norm(a.points[0] - b.points[0], axis=-1).mean())
            yield sample, 100 * distance / side, 100 * float((a.scores[0] < 0.5).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="model to judge; the one in the package by default")
    parser.add_argument("--other", required=True, help="larger model to compare with")
    parser.add_argument("--root", type=Path, default=os.environ.get("CANTHUS_DATA"))
    parser.add_argument("--limit", type=int, default=10**6, help="largest number of faces")
    parser.add_argument("--json", type=Path, help="file for the table")
    options = parser.parse_args()
    model, other = Aligner.open(options.model), Aligner.open(options.other)
    samples = list(open_set("fairface", options.root, HELD_OUT))
    chosen = samples[:: max(1, len(samples) // options.limit)][: options.limit]
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for sample, distance, low in rows_of(chosen, model, other):
        for group in ("all", *sample.groups):
            groups[group].append((distance, low))
    table = {
        name: {
            "faces": len(rows),
            "distance": np.mean([d for d, _ in rows]),
            "low": np.mean([s for _, s in rows]),
        }
        for name, rows in sorted(groups.items())
    }
    print(f"{model.card.name} and {other.card.name} on fairface, {len(chosen)} faces")
    print("| group | faces | distance, % of sqrt(w h) | points with low scores, % |")
    print("|---|---|---|---|")
    for name, row in table.items():
        print(f"| {name} | {row['faces']} | {row['distance']:.2f} | {row['low']:.2f} |")
    for kind in KINDS:
        distances = [row["distance"] for name, row in table.items() if name.startswith(f"{kind}-")]
        print(f"{kind}: the worst group has {max(distances) / min(distances):.2f} times the distance of the best")
    if options.json:
        command = f"scripts/bench agreement --model {options.model or 'default'} --other {options.other}"
        options.json.write_text(json.dumps({"command": command, "groups": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
