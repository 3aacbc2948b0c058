"""Models on faces with occlusions: errors of all, visible and hidden points, and who finds the hidden ones.

    python benchmarks/occlusion.py NAME=MODEL[,MODEL...][@DEPTH] ... [--split val] [--kind K] [--rebuild R] [--json F]

CANTHUS_DATA holds the sets. A model is a bundle, or a checkpoint of a run; several behind one name are seeds of one
row, whose errors are averaged face by face. DEPTH is the stage after which it stops. A rebuild is
KIND:ATOMS:SPARSITY:NEAREST:LEAST, as exemplars:400:1:50:0.4 or posterior:0:1:1:0.4 (`align/rebuild.py`); its shapes
are the labels of wild68 and ytf68 train, its weights those of the model, or else its scores. Each adds a row to each
name. --kind measures one kind of occluder alone, as hand, which needs occluded copies. --json writes the tables.

Crops are cut around true boxes, one pass. Errors are in percent of the inter-ocular distance: `nme` is the mean over
the faces that have such points, `by_point` that over the points; success is the share of faces whose mean error lies
below 8 or 10 %. Differences of `nme` are those to the first row, of the same faces; their intervals (95 %) draw whole
identities. Average precision is that of finding hidden points, by the lowest scores and by the highest `occluded`;
calibration is the expected calibration error of the scores [Naeini et al., 2015].
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from canthus.align.aligner import Aligner
from canthus.align.rebuild import Rebuild, shapes_of
from canthus.align.stage import System
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.evaluate.bootstrap import bootstrap_interval
from canthus.evaluate.metrics import distances, normalisers
from canthus.evaluate.reliability import bad_precision, calibration_error, reliability_curve, tally
from canthus.geometry.crop import box_of
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.system import join, load_trained
from canthus.types import Floats

SCHEME = Scheme.open("68")
NEAR = 0.025
"""Distance at which a point counts as near its truth, over the longer side of the box, as in `nets/decode.py`."""
SETS = {
    "occluded wild68": ("views:occluded_wild68", {"labels": "outline"}),
    "occluded ytf68": ("views:occluded_ytf68", {"labels": "outline"}),
    "wild68": ("wild68", {}),
    "aflw68": ("aflw68", {}),
}
"""Sets by name; one whose split does not exist is left out."""
KINDS = ("all", "visible", "hidden")


@dataclass(frozen=True)
class Answers:
    """What a model found on the F faces of a set.

    Attributes:
        points: Shape (F, 68, 2).
        raw: Points before a rebuild. Shape (F, 68, 2).
        scores: Shape (F, 68).
        weights: Weights of the points for a rebuild. Shape (F, 68).
        occluded: NaN = not told. Shape (F, 68).
    """

    points: Floats
    raw: Floats
    scores: Floats
    weights: Floats
    occluded: Floats


def system_of(model: str) -> System:
    """A bundle, or the network of a checkpoint, with its depth."""
    path, _, depth = model.partition("@")
    if path.endswith(".ckpt"):
        system = join([load_trained(Path(path))[0]])
    else:
        system = Aligner.open(None if path == "default" else path).system
    return system.prefix(int(depth) if depth else None)


def answers_of(system: System, samples: Sequence[Sample]) -> Answers:
    """Run a model on faces with true boxes."""
    parts = []
    for start in range(0, len(samples), system.batch):
        some = samples[start : start + system.batch]
        view = View.of_boxes([sample.picture() for sample in some], np.stack([_box(sample) for sample in some]))
        found = system.run(view)
        unknown = np.full(found.scores.shape, np.nan, np.float32)
        parts.append(
            (
                found.points,
                found.extras.get("raw", found.points),
                found.scores,
                found.extras.get("weights", found.scores),
                found.extras.get("occluded", unknown),
            )
        )
    return Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _box(sample: Sample) -> Floats:
    return box_of(sample.points) if sample.box is None else sample.box


def figures(seeds: Sequence[Answers], samples: Sequence[Sample], first: Sequence[Any] | None) -> dict[str, Any]:
    """The figures of a row, means over its seeds; `first` are the errors of the first row, each (F,)."""
    truth = np.stack([sample.points[:, :2] for sample in samples])
    visible = np.stack([np.ones(68, bool) if one.visible is None else one.visible for one in samples])
    boxes = np.stack([_box(sample) for sample in samples])
    scale = normalisers(truth, "inter-ocular", SCHEME)[:, None]
    far = np.mean([distances(answers.points, truth) for answers in seeds], 0) / scale * 100
    people = np.unique([sample.identity for sample in samples], return_inverse=True)[1]
    row: dict[str, Any] = {}
    errors = []
    for kind, mask in zip(KINDS, (visible | True, visible, ~visible), strict=True):
        sums, counts = np.nansum(np.where(mask, far, 0), 1), (mask & np.isfinite(far)).sum(1)
        face = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=(counts > 0) & np.isfinite(scale[:, 0]))
        errors.append(face)
        if not np.isfinite(face).any():
            continue
        usable = np.isfinite(face)
        by_point = sums[usable].sum() / counts[usable].sum()
        row[kind] = {"nme": _round(np.nanmean(face)), "by_point": _round(by_point)}
        row[kind] |= {"success_8": _share(face, 8), "success_10": _share(face, 10)}
        if first is not None:
            gap = face - first[len(errors) - 1]
            low, high = bootstrap_interval(gap[:, None], people)
            row[kind] |= {"difference": _round(np.nanmean(gap)), "interval": [_round(low[0]), _round(high[0])]}
    near = NEAR * (boxes[:, 2:] - boxes[:, :2]).max(1)[:, None]
    row |= {name: _round(np.mean([part[name] for part in (_trust(one, truth, visible, near) for one in seeds)]), 3)
            for name in ("precision_scores", "precision_occluded", "calibration")}  # fmt: skip
    return row | {"errors": errors}


def _trust(answers: Answers, truth: Floats, visible: Any, near: Any) -> dict[str, float]:
    """How well scores and flags find the hidden points, and how far scores are from probabilities."""
    away = distances(answers.points, truth)
    known = np.isfinite(away)
    return {
        "precision_scores": bad_precision(tally(visible[known], answers.scores[known])),
        "precision_occluded": bad_precision(tally(visible[known], 1 - answers.occluded[known])),
        "calibration": calibration_error(reliability_curve(tally((away < near)[known], answers.scores[known]))),
    }


def _share(errors: Any, limit: float) -> float | None:
    return _round(100 * np.mean(errors[np.isfinite(errors)] < limit))


def _round(value: Any, digits: int = 2) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def rebuilds_of(texts: Sequence[str], root: Path) -> dict[str, Rebuild]:
    """The rebuilds of the command line."""
    labels = (
        np.stack([s.points for name in ("wild68", "ytf68") for s in open_set(name, root, "train")]) if texts else None
    )
    found = {}
    for text in texts:
        kind, atoms, sparsity, nearest, least = text.split(":")
        assert labels is not None
        arrays = shapes_of(labels, kind, (int(atoms), int(sparsity)), int(nearest), float(least))  # type: ignore[arg-type]
        made = Rebuild.of(arrays)
        assert made is not None, "the kind none rebuilds nothing"
        found[text] = made
    return found


def rows_of(
    models: Mapping[str, Sequence[System]], rebuilds: Mapping[str, Rebuild], samples: Sequence[Sample]
) -> dict[str, dict[str, Any]]:
    """The rows of a set."""
    rows: dict[str, dict[str, Any]] = {}
    first = None
    for name, systems in models.items():
        seeds = [answers_of(system, samples) for system in systems]
        rows[name] = figures(seeds, samples, first)
        first = first or rows[name]["errors"]
        for text, rebuild in rebuilds.items():
            moved = [
                Answers(
                    rebuild.points(one.raw, one.weights, one.scores), one.raw, one.scores, one.weights, one.occluded
                )
                for one in seeds
            ]
            rows[f"{name}, {text}"] = figures(moved, samples, first)
    for row in rows.values():
        del row["errors"]
    return rows


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--split", default="val")
    parser.add_argument("--kind")
    parser.add_argument("--rebuild", action="append", default=[])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    root = Path(os.environ["CANTHUS_DATA"])
    models: dict[str, list[System]] = {}
    for text in given.models:
        name, _, paths = text.partition("=")
        stem, at, depth = paths.partition("@")
        models[name] = [system_of(f"{path}{at}{depth}") for path in stem.split(",")]
    rebuilds = rebuilds_of(given.rebuild, root)
    tables = {}
    for name, (source, options) in SETS.items():
        if not (root / source.rpartition(":")[2] / given.split).exists() and source.startswith("views:"):
            continue
        if (source == "aflw68" and given.split != "val") or (given.kind and not source.startswith("views:")):
            continue
        split = f"{given.split}/{given.kind}" if given.kind else given.split
        tables[name] = rows_of(models, rebuilds, list(open_set(source, root, split, **options)))
        print(f"\n{name} {given.split}")
        for row, found in tables[name].items():
            print(f"  {row}: {json.dumps(found)}")
    if given.json:
        given.json.write_text(json.dumps({"split": given.split, "tables": tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
