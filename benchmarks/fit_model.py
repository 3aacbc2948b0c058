"""Accuracy of fits of the 3D face model: recovery of known faces, residuals on real labels, and time per face.

Run by `scripts/bench fit_model --face-model FILE`, data sets in CANTHUS_DATA. Errors are percent of the distance of the
outer eye corners seen from the front; residuals are percent of that distance in the labels. Time is CPU time on one
thread.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from canthus.data.catalogue import open_set
from canthus.face3d.annotation_bias import learn_bias
from canthus.face3d.contour import outline
from canthus.face3d.fit import Fit, Fitter
from canthus.face3d.labels import points_of, visibility
from canthus.face3d.morphable import MorphableModel
from canthus.geometry.pose import rotation

PROTOTYPE = {0: (0.8, 0.4), 30: (1.0, 1.3), 45: (1.3, 1.1), 60: (2.3, 3.5)}
"""3D-68 error in % and yaw error in degrees of the prototype, by yaw."""
SCALE = 20.0


def faces(model: MorphableModel, yaw: float, count: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Pose (F, 3), points on the true jaw (F, 68, 3) and labels on the outline (F, 68, 2) of random people.

    Identity is N(0, 1) in all modes; four of the fitted expressions have weights of 0 to .7.
    """
    pose = np.column_stack(
        [yaw * rng.choice([-1, 1], count) + rng.uniform(-3, 3, count), rng.normal(0, 8, count), rng.normal(0, 5, count)]
    )
    identity = rng.normal(size=(count, len(model.identity)))
    fitted = [i for i, name in enumerate(model.expression_names) if not name.startswith(model.landmarks.dropped)]
    expression = np.zeros((count, len(model.expression)))
    for face in range(count):
        expression[face, rng.choice(fitted, 4, False)] = rng.uniform(0, 0.7, 4)
    turned, lines = rotation(pose), model.landmarks.lines["68"]
    shape = model.vertices(identity, expression, lines.ravel()).astype(float)
    seen = SCALE * (shape @ np.swapaxes(turned, 1, 2)).reshape(count, *lines.shape, 3)
    picked, _ = outline(model.normals[lines], turned)
    labels = np.take_along_axis(seen, picked[..., None, None], 2)[:, :, 0, :2]
    labels[:, 17:] = seen[:, 17:, 0, :2]
    return pose, seen[:, :, 0], labels


def timed(work: Callable[[], Fit]) -> tuple[Fit, float]:
    """A fit, and its milliseconds per face."""
    start = time.process_time()
    fit = work()
    return fit, 1e3 * (time.process_time() - start) / len(fit)


def self_consistency(model: MorphableModel, count: int, noise: float, rng: np.random.Generator) -> None:
    """Print errors of fits to labels of known faces with normal noise in each axis."""
    print(f"\nself-consistency, {count} faces per row, noise {noise:.2%} of the inter-ocular distance in each axis")
    print(
        "| yaw | 3D-68 in the picture | prototype | depth | 3D | yaw error | prototype | pitch | roll | residual | ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    fitter = Fitter(model, "68")
    for yaw in (0, 30, 45, 60, 75):
        pose, points, labels = faces(model, yaw, count, rng)
        unit = np.linalg.norm(points[:, 36] - points[:, 45], axis=-1)[:, None]
        noisy = labels + noise * unit[..., None] * rng.normal(size=labels.shape)
        fit, spent = timed(lambda noisy=noisy: fitter.fit(noisy))
        far = points_of(model, fit, "68") - points
        far[..., 2] -= far[..., 2].mean(1, keepdims=True)
        flat, deep, solid = (
            100 * (part / unit).mean()
            for part in (np.linalg.norm(far[..., :2], axis=-1), np.abs(far[..., 2]), np.linalg.norm(far, axis=-1))
        )
        turn = np.abs((fit.camera.pose - pose + 180) % 360 - 180).mean(0)
        old = PROTOTYPE.get(yaw, ("", ""))
        print(
            f"| {yaw} | {flat:.2f} | {old[0]} | {deep:.2f} | {solid:.2f} | {turn[0]:.2f} | {old[1]} | {turn[1]:.2f} "
            f"| {turn[2]:.2f} | {100 * fit.error.mean():.2f} | {spent:.1f} |"
        )


def residuals(model: MorphableModel, root: Path, limit: int) -> None:
    """Print residuals on real labels; the annotation bias is learnt on 300 faces of train, none of a person in val."""
    print("\nresidual on real labels (prototype on ytf68: 2.5, 15 to 30 ms)")
    print("| set | faces | bias | mean | inner | contour | 95 of 100 below | over 5 % | identity^2 | ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    fitter = Fitter(model, "68")
    for name in ("wild68", "ytf68"):
        sets = {split: np.stack([item.points for item in open_set(name, root, split)]) for split in ("train", "val")}
        sets = {split: points[np.linspace(0, len(points) - 1, min(limit, len(points))).round().astype(int)]
                for split, points in sets.items()}  # fmt: skip
        some = sets["train"][np.linspace(0, len(sets["train"]) - 1, min(300, limit)).round().astype(int)]
        bias = learn_bias(fitter, some)
        for split, points in sets.items():
            for kind, chosen in {"none": fitter, "learnt": fitter.with_bias(bias)}.items():
                fit, spent = timed(lambda chosen=chosen, points=points: chosen.fit(points))
                unit = np.linalg.norm(points[:, 36] - points[:, 45], axis=-1)[:, None]
                share = 100 * fit.residual / unit
                mean, inner, contour = share.mean(), share[:, 17:].mean(), share[:, :17].mean()
                over, high = (share.mean(1) > 5).mean(), np.percentile(share.mean(1), 95)
                print(
                    f"| {name} {split} | {len(points)} | {kind} | {mean:.2f} | {inner:.2f} | {contour:.2f} "
                    f"| {high:.2f} | {over:.1%} | {(fit.identity**2).sum(1).mean():.0f} | {spent:.1f} |"
                )
    some = Fitter(model, "68").fit(sets["val"][:16])
    _, points_ms = timed(lambda: [points_of(model, some, scheme) for scheme in model.landmarks.points] and some)
    _, seen_ms = timed(lambda: visibility(model, some, model.landmarks.points) and some)
    print(f"\nbeside the fit: points of all schemes {points_ms:.1f} ms, visibility of all {seen_ms:.1f} ms per face")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--face-model", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=os.environ.get("CANTHUS_DATA"))
    parser.add_argument("--faces", type=int, default=100, help="number of synthetic faces per row")
    parser.add_argument("--limit", type=int, default=10**6, help="largest number of real faces per set")
    options = parser.parse_args()
    model = MorphableModel.open(options.face_model)
    rng = np.random.default_rng(0)
    self_consistency(model, options.faces, 0.012, rng)
    self_consistency(model, options.faces, 0.012 / np.sqrt(np.pi / 2), rng)  # 1.2 % is the mean distance then
    if options.root:
        residuals(model, Path(options.root), options.limit)


if __name__ == "__main__":
    main()
