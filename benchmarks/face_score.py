"""Quality of the face score: ROC on test crops, a threshold chosen on val, and ms per crop on one thread.

    CANTHUS_DATA=... python benchmarks/face_score.py [--model FILE] [--out FOLDER]

Positives are faces of wild68 and ytf68 in jittered boxes (shift up to 6 %, scale up to 1.2, roll up to 15 degrees).
Negatives are boxes shifted by exactly half their side in any direction, and backdrops (surroundings in which the
cascades of OpenCV find nothing, noise, patterns, shuffled pieces of pictures). `--out` is the folder for the curves and
the worst crops of each kind.
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from canthus.detect.score import FaceScorer
from canthus.evaluate.detection import best_threshold, roc, roc_area
from canthus.evaluate.report.figure import COLOURS
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.train.detection.backdrops import make_backdrops, vary_backdrop
from canthus.train.detection.pool import FacePool, load_faces
from canthus.train.recipe import SetShare
from canthus.types import Floats, Image

SETS = ("wild68", "ytf68")
SHIFT, SCALE, ROLL = 0.06, 1.2, 15.0
HALF = 0.5
KINDS = ("around", "shifted by half", "background")
Case = tuple[Image, Floats, float]
"""A picture, a box (4,), and the given roll in degrees."""


def cases(pool: FacePool, backdrops: list[Image], kind: str, count: int, rng: np.random.Generator) -> list[Case]:
    """Boxes of one kind."""
    made: list[Case] = []
    for _ in range(count):
        if kind == "background":
            side = float(np.exp(rng.uniform(np.log(24), np.log(96))))
            corner = rng.uniform(0, 120 - side, 2)
            made.append((vary_backdrop(backdrops, 120, rng), np.concatenate([corner, corner + side]), 0.0))
            continue
        index = int(rng.choice(len(pool.images), p=pool.chance))
        box, way = box_of(pool.points[index]).astype(float), rng.uniform(0, 2 * np.pi)
        middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        if kind == "around":
            middle = middle + rng.uniform(-SHIFT, SHIFT, 2) * size
            size, roll = size * np.exp(rng.uniform(-1, 1) * np.log(SCALE)), float(rng.uniform(-ROLL, ROLL))
        else:
            middle, roll = middle + HALF * size.max() * np.array([np.cos(way), np.sin(way)]), 0.0
        made.append((pool.images[index], np.concatenate([middle - size / 2, middle + size / 2]), roll))
    return made


def scores_of(scorer: FaceScorer, some: list[Case]) -> np.ndarray:
    return np.array([scorer.score(image, box[None], [roll]).scores[0] for image, box, roll in some])


def save(out: Path, scores: Mapping[str, np.ndarray], threshold: float, made: Mapping[str, list[Case]]) -> None:
    """Write the curves, the scores of each kind, and the crops with the worst scores."""
    from matplotlib.figure import Figure

    out.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(9, 3.8), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    for kind, colour in zip(KINDS[1:], COLOURS, strict=False):
        both = np.concatenate([scores["around"], scores[kind]])
        false_rate, true_rate, levels = roc(both, np.arange(len(both)) < len(scores["around"]))
        left.plot(false_rate, true_rate, color=colour, label=f"against {kind}")
        at = int(np.searchsorted(-levels, -threshold, side="right")) - 1
        left.plot(false_rate[at], true_rate[at], "o", color=colour, markersize=5)
    left.set(xscale="log", xlim=(5e-4, 1), ylim=(0.9, 1.001), xlabel="false positive rate", ylabel="true positive rate")
    for kind, colour in zip(KINDS, (COLOURS[2], *COLOURS[:2]), strict=True):
        right.hist(scores[kind], np.linspace(0, 1, 41), color=colour, alpha=0.6, label=kind, log=True)
    right.axvline(threshold, color="#23304a", linewidth=1)
    right.set(xlabel="score", ylabel="crops")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out / "roc.png")
    rows = []
    for kind in KINDS:
        order = np.argsort(scores[kind] if kind == "around" else -scores[kind])[:16]
        some = [made[kind][place] for place in order]
        rows.append(np.concatenate([warp(i, crop_matrix(box, 96, 1.2, roll), 96) for i, box, roll in some], 1))
    cv2.imwrite(str(out / "worst.png"), np.concatenate(rows)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--count", type=int, default=3000, help="number of crops of each kind")
    parser.add_argument("--out", type=Path, default=Path("runs/face_score_roc"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    scorer = FaceScorer.open(options.model)
    root, threshold = Path(os.environ["CANTHUS_DATA"]), np.nan
    print("| split | against | area under the ROC | threshold | faces over it | others over it |")
    print("|---|---|---|---|---|---|")
    for split in ("val", "test"):
        pool = load_faces([SetShare(name=name, split=split) for name in SETS], root, 160)
        backdrops = make_backdrops(pool, 80, 160, np.random.default_rng(1))
        rng = np.random.default_rng(2)
        made = {kind: cases(pool, backdrops, kind, options.count, rng) for kind in KINDS}
        scores = {kind: scores_of(scorer, some) for kind, some in made.items()}
        if split == "val":
            everything = np.concatenate(list(scores.values()))
            threshold = best_threshold(everything, np.arange(len(everything)) < options.count)
        for kind in KINDS[1:]:
            both = np.concatenate([scores["around"], scores[kind]])
            area = roc_area(both, np.arange(len(both)) < options.count)
            shares = [(scores[one] >= threshold).mean() for one in ("around", kind)]
            print(f"| {split} | {kind} | {area:.4f} | {threshold:.2f} | {shares[0]:.4f} | {shares[1]:.4f} |")
    save(options.out, scores, threshold, made)
    image, box, _ = made["around"][0]
    spent = []
    for _ in range(300):
        start = time.perf_counter()
        scorer.score(image, box[None])
        spent.append(1000 * (time.perf_counter() - start))
    print(f"\n{np.quantile(spent, 0.25):.2f} ms per crop with cutting, one thread (lower quartile of {len(spent)})")


if __name__ == "__main__":
    main()
