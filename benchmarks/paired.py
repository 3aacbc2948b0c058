"""One model against others on the same faces: errors, and paired differences with their intervals.

    python benchmarks/paired.py MODEL OTHER ... [--data wild68] [--split test] [--options '{"labels": "outline"}']
        [--json F]

CANTHUS_DATA holds the sets. A model is a bundle, or `default`. Boxes are the true ones, the jittered ones of the set
where it has some, as `canthus evaluate` has them, true ones that are off by 10 and 20 % (`study.measure.displaced`),
and disturbed ones, which are also turned (`study.measure.disturbed`). Errors are those of the protocol of the set in
percent; a difference is OTHER - MODEL, so above 0 MODEL is better, and its interval (95 %) draws whole identities.
"won" is the share of faces on which MODEL is better.
"""

import argparse
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from canthus.align.aligner import Aligner
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.evaluate.compare import Difference, compare_tables
from canthus.evaluate.measure import LabelledSet, protocol_of, sources_of
from canthus.evaluate.run import predict
from canthus.evaluate.table import Table, table_of_samples
from canthus.schemes.scheme import Scheme
from canthus.study.measure import displaced, disturbed

MOVES: Mapping[str, Callable[[View, np.random.Generator], View]] = {
    "off by 10 %": lambda view, rng: displaced(view, 0.1, rng),
    "off by 20 %": lambda view, rng: displaced(view, 0.2, rng),
    "disturbed": disturbed,
}
"""What is done to true boxes, by its name."""
BATCH = 32


def from_moved(aligner: Aligner, truth: Table, move: Callable[[View, np.random.Generator], View]) -> Table:
    """What a model finds from true boxes that are moved."""
    assert truth.picture is not None
    rng, found = np.random.default_rng(0), []
    for start in range(0, len(truth), BATCH):
        some = range(start, min(start + BATCH, len(truth)))
        view = View.of_points([truth.picture(index) for index in some], truth.points[list(some)])
        found.append(aligner.system.run(move(view, rng)).points[..., :2])
    return Table(np.concatenate(found), truth.scheme, truth.images, truth.identities)


def tables(model: str, faces: LabelledSet) -> dict[str, Table]:
    """What a model finds, by the kind of the boxes."""
    aligner = Aligner.open(None if model == "default" else model)
    sources = sources_of(faces.truth, None, faces.protocol)
    found = {source: predict(aligner, faces.truth, faces.truth.box(source)) for source in sources}
    return found | {kind: from_moved(aligner, faces.truth, move) for kind, move in MOVES.items()}


def summary(row: Difference) -> dict[str, Any]:
    """Errors of the model and of the other, how far the model is ahead with its interval, and what it won, in %."""
    return {
        "model": round(100 * row.a, 3),
        "other": round(100 * row.b, 3),
        "ahead": round(-100 * row.difference, 3),
        "interval": [round(-100 * row.high, 3), round(-100 * row.low, 3)],
        "won": round(100 * row.wins, 1),
    }


def cells(row: Mapping[str, Any]) -> list[str]:
    """Text of a row, the errors and gains of all points and of the inner ones."""
    groups = [row[name] for name in ("all", "inner") if name in row]
    errors = [", ".join(f"{group[side]:.2f}" for group in groups) for side in ("model", "other")]
    ahead = ["{:.2f} ({:.2f} .. {:.2f})".format(group["ahead"], *group["interval"]) for group in groups]
    return [*errors, ", ".join(ahead), f"{row['all']['won']:.0f} %"]


def main() -> None:
    """Measure the models that are given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="bundles, or default; the first one against each other one")
    parser.add_argument("--data", default="wild68", help="set of the catalogue")
    parser.add_argument("--split", default="test", help="split of the set")
    parser.add_argument("--options", type=json.loads, default={}, help="options of the set, as JSON")
    parser.add_argument("--json", type=Path, default=None, help="file for the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    samples = open_set(args.data, Path(os.environ["CANTHUS_DATA"]), args.split, **args.options)
    protocol = protocol_of(args.data, args.split, samples)
    faces = LabelledSet(protocol, table_of_samples(samples, Path(args.data), Scheme.open(protocol.scheme)))
    found = {model: tables(model, faces) for model in args.models}
    first, *others = args.models
    rows: list[dict[str, Any]] = []
    print(f"{args.data} {args.split}, {len(faces.truth)} faces\n")
    print(f"| boxes | other | {first}: all, inner | other: all, inner | ahead by: all, inner | won |")
    print("|---|---|---|---|---|---|")
    for boxes in found[first]:
        for other in others:
            result = compare_tables(faces.truth, found[first][boxes], found[other][boxes], protocol)
            row = {"boxes": boxes, "model": first, "other": other, "faces": result.faces}
            for group in (result.total, *result.regions):
                if group.name in ("all", "inner"):
                    row[group.name] = summary(group)
            print("| " + " | ".join([boxes, other, *cells(row)]) + " |")
            rows.append(row)
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
