"""Contradictions between the labels of video frames: left against right, and frame against frame of a clip.

    CANTHUS_DATA=... python benchmarks/label_consistency.py val ytf68 csv:ytf68_denoised

The first set gives the pictures, named PERSON_XY.jpg: frame Y of clip X. Figures are percent of the inter-ocular
distance, over the inner points.
"""

import os
import re
import sys
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.reader.image import read
from canthus.schemes.scheme import Scheme
from canthus.synth.relabel.consistency import Followed, follow, skew

SCHEME = Scheme.open("68")
INNER = list(SCHEME.groups["inner"])


def units(points: np.ndarray) -> np.ndarray:
    """Inter-ocular distance of faces (F, 68, 2)."""
    return np.linalg.norm(points[:, 36] - points[:, 45], axis=-1)


def pairs(samples: list[Sample]) -> list[tuple[int, int]]:
    """Pairs of frames of one clip, by their indices in the list."""
    clips = defaultdict(list)
    for index, sample in enumerate(samples):
        clips[re.sub(r"\db?$", "", sample.image.stem)].append(index)
    return [pair for clip in clips.values() for pair in combinations(clip, 2)]


def moves(followed: Followed, points: np.ndarray, pair: tuple[int, int], unit: np.ndarray) -> float:
    """Mean distance of labels from the followed inner points if at least half can be followed, else NaN."""
    miss = followed.miss(points[pair[0]], points[pair[1]])[INNER] / unit[pair[1]]
    return float(np.nanmean(miss)) if np.isfinite(miss).mean() > 0.5 else np.nan


def main(root: Path, split: str, names: list[str]) -> None:
    """Print a row for each set."""
    sets = {name: list(open_set(name, root, split)) for name in names}
    reference = sets[names[0]]
    place = {sample.image.resolve(): index for index, sample in enumerate(reference)}
    points = {}
    for name, samples in sets.items():
        points[name] = np.full((len(reference), 68, 2), np.nan)
        for sample in samples:
            points[name][place[sample.image.resolve()]] = sample.points
    raw = points[names[0]].copy()
    unit = units(raw)
    missed: dict[str, list[float]] = {name: [] for name in names}
    for a, b in pairs(reference):
        followed = follow(read(reference[a].image), read(reference[b].image), raw[a], raw[b])
        for name in names:
            missed[name].append(moves(followed, points[name], (a, b), unit))
    common = np.isfinite(np.array(list(missed.values()))).all(0)
    print(f"{len(reference)} faces, {common.sum()} of {len(common)} pairs of frames followed")
    for name in names:
        whole = np.isfinite(points[name]).all((1, 2))
        sides = skew(points[name][whole], unit[whole], SCHEME).mean()
        frames = np.array(missed[name])[common].mean()
        print(f"{name}: left-right {100 * sides:.2f}, frame-to-frame {100 * frames:.2f}")


if __name__ == "__main__":
    main(Path(os.environ["CANTHUS_DATA"]), sys.argv[1], sys.argv[2:])
