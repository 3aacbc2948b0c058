"""Where each stage of a system earns its time: error and ms per depth, from true boxes and from boxes that are off.

    python benchmarks/depths.py MODEL ... [--data wild68] [--split test] [--options '{"labels": "outline"}']
        [--read argmax] [--limit N] [--rounds R] [--json F] [--picture F]

CANTHUS_DATA holds the sets. A model is a bundle, or a checkpoint of a run with its card beside it, whose maps --read
reads in another way than the run did. Errors are in percent of the inter-ocular distance. The gain of a depth is that
over the depth before, on the same faces; its interval (95 %) draws whole identities. Boxes are off by 0, 5, 10 and 20 %
as in `measures.displaced` of an ablation (docs/ablations.md). ms per face: crops and networks of 32 faces, one thread;
the depths take turns, lower quartile. "stop" is the depth after which no further one gains more than 0 with its whole
interval: there a system of these faces may stop early.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from canthus.align.aligner import Aligner
from canthus.align.estimate import Estimate
from canthus.align.stage import System
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.evaluate.bootstrap import bootstrap_interval, clusters_of
from canthus.evaluate.metrics import nme, normalisers
from canthus.nets.decode import Reading
from canthus.schemes.scheme import Scheme
from canthus.study.measure import displaced
from canthus.train.landmarks.pool import labels_in
from canthus.train.landmarks.system import join, load_trained

SHARES = (0.0, 0.05, 0.1, 0.2)
"""By how much boxes are off, over their longer side."""
BATCH = 32
"""Number of faces that are timed together."""


def system_of(model: str, read: str | None) -> System:
    """The system of a bundle or of a checkpoint, whose maps may be read in another way."""
    if model.endswith(".ckpt"):
        trained = load_trained(Path(model))[0]
        if read is not None:
            trained.net.config = replace(trained.net.config, read=read)
        return join([trained])
    if read is not None:
        raise SystemExit(f"{model}: a bundle has one reading; --read takes checkpoints")
    return Aligner.open(None if model == "default" else model).system


def errors(systems: Sequence[System], samples: Sequence[Sample], share: float) -> NDArray[np.float64]:
    """Error of each face at each depth, percent. Shape (F, depths)."""
    truth = np.stack([labels_in(sample, systems[-1].scheme)[..., :2] for sample in samples])
    scale, rng = normalisers(truth, "inter-ocular", Scheme.open(systems[-1].scheme)), np.random.default_rng(0)
    rows = []
    for start in range(0, len(samples), BATCH):
        some = slice(start, start + BATCH)
        view = View.of_points([sample.picture() for sample in samples[some]], truth[some])
        moved, known = displaced(view, share, rng) if share else view, Estimate.of_points(truth[some])
        found = [system.run(moved, None if share else known).points[..., :2] for system in systems]
        rows.append(np.stack([100 * nme(points, truth[some], scale[some]) for points in found], -1))
    return np.concatenate(rows)


def milliseconds(systems: Sequence[System], samples: Sequence[Sample], rounds: int) -> list[float]:
    """Milliseconds per face of each depth; the depths take turns."""
    some = [samples[place % len(samples)] for place in range(BATCH)]
    truth = np.stack([labels_in(sample, systems[-1].scheme)[..., :2] for sample in some])
    view, known = View.of_points([sample.picture() for sample in some], truth), Estimate.of_points(truth)
    works = [partial(system.run, view, known) for system in systems]
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append((time.perf_counter() - start) / BATCH * 1e3)
    return [float(np.percentile(taken[1:], 25)) for taken in times]


def table(system: System, samples: Sequence[Sample], rounds: int) -> list[dict[str, Any]]:
    """Rows of one system: one for each share and depth."""
    systems = [system.prefix(depth) for depth in range(1, len(system.stages) + 1)]
    taken, rows = milliseconds(systems, samples, rounds), []
    clusters = clusters_of([sample.identity or "" for sample in samples], len(samples))
    for share in SHARES:
        found = errors(systems, samples, share)
        gains = np.column_stack([np.full(len(found), np.nan), found[:, :-1] - found[:, 1:]])
        low, high = bootstrap_interval(gains[:, 1:], clusters) if len(systems) > 1 else (np.empty(0), np.empty(0))
        earning = [depth for depth, end in enumerate(low, 2) if end > 0]
        for depth, stage in enumerate(system.stages, 1):
            own = None if depth == 1 else [float(end[depth - 2]) for end in (low, high)]
            rows.append(
                {
                    "off": share,
                    "depth": depth,
                    "stage": stage.name,
                    "nme": float(found[:, depth - 1].mean()),
                    "gain": None if own is None else float(gains[:, depth - 1].mean()),
                    "interval": own,
                    "ms": taken[depth - 1],
                    "stop": depth == max(earning, default=1),
                }
            )
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows of one system."""
    print("| boxes off by | depth | stage | error, % | gain over the depth before | ms per face | stop |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        gain = "" if row["gain"] is None else "{:.2f} ({:.2f} .. {:.2f})".format(row["gain"], *row["interval"])
        print(
            f"| {row['off']:.0%} | {row['depth']} | {row['stage']} | {row['nme']:.2f} | {gain} | {row['ms']:.2f} |"
            f" {'here' if row['stop'] else ''} |"
        )


def draw(tables: Mapping[str, Sequence[dict[str, Any]]], out: Path) -> None:
    """Curves of the error over the depth, one for each share by which boxes are off; a panel for each model."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(tables), figsize=(3.6 * len(tables), 3.2), sharey=True, squeeze=False)
    for axes, (model, rows) in zip(panels[0], tables.items(), strict=True):
        for share, tone in zip(SHARES, (0.85, 0.65, 0.45, 0.25), strict=True):
            some = [row for row in rows if row["off"] == share]
            line = [row["nme"] for row in some]
            axes.plot(range(len(line)), line, "o-", color=plt.get_cmap("viridis")(tone), label=f"off by {share:.0%}")
            axes.set_xticks(range(len(line)), [row["stage"] for row in some])
        axes.set_title(
            Path(model).parent.parent.name.replace("_", "-") if model.endswith(".ckpt") else Path(model).stem
        )
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("error, % of the inter-ocular distance")
    panels[0][0].set_ylim(0)
    panels[0][-1].legend(title="boxes", frameon=False)
    figure.savefig(out, bbox_inches="tight", dpi=150)


def main() -> None:
    """Measure the models that are given."""
    parser = argparse.ArgumentParser(description="Error and ms per depth; where a system may stop early.")
    parser.add_argument("models", nargs="+", help="bundles or checkpoints")
    parser.add_argument("--data", default="wild68", help="set of the catalogue")
    parser.add_argument("--split", default="test", help="split of the set")
    parser.add_argument("--options", type=json.loads, default={}, help="options of the set, as JSON")
    parser.add_argument("--read", choices=get_args(Reading), default=None, help="reading of the maps of checkpoints")
    parser.add_argument("--limit", type=int, default=None, help="largest number of faces, evenly spread")
    parser.add_argument("--rounds", type=int, default=8, help="rounds of the timing")
    parser.add_argument("--json", type=Path, default=None, help="file for the tables")
    parser.add_argument("--picture", type=Path, default=None, help="file for the curves")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    every = open_set(args.data, Path(os.environ["CANTHUS_DATA"]), args.split, **args.options)
    count = min(len(every), args.limit or len(every))
    samples = [every[int(place)] for place in np.linspace(0, len(every) - 1, count).round()]
    tables = {model: table(system_of(model, args.read), samples, args.rounds) for model in args.models}
    for model, rows in tables.items():
        print(f"\n{model}: {args.data} {args.split}, {len(samples)} faces\n")
        show(rows)
    if args.json is not None:
        args.json.write_text(json.dumps(tables, indent=1) + "\n")
    if args.picture is not None:
        draw(tables, args.picture)


if __name__ == "__main__":
    main()
