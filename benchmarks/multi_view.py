"""multi_view on turned faces: errors by yaw, gains of the rows of table I, depth, pose, view, 39 points.

    CANTHUS_DATA=... python benchmarks/multi_view.py rows ABLATION_FOLDER [--split val] [--json F]
    CANTHUS_DATA=... python benchmarks/multi_view.py bundle MULTI_VIEW.canthus [NAME=MODEL ...] [--json F] [--sheet F]
    python benchmarks/multi_view.py blocks [--json F]

CANTHUS_DATA also holds views_wild68, views_ytf68 and fits_ytf68 (docs/data-factory.md). Faces are those of --split,
test by default; for val there are no views of ytf68. One pass, from true boxes or from boxes turned by up to 45
degrees, scaled by .75 to 1.25 and shifted by up to 8 % of the crop. Errors are in percent of sqrt(w h) of the box of
the true 3D points in the image plane; "bins" is the mean of the bins 0-30, 30-60 and 60-90 degrees of azimuth,
"faces" the mean over all faces. `rows` averages the seeds face by face and gives each row's gain over the row before,
with an interval (95 %) that draws whole identities. `bundle` also measures other models of 68 points on the same
faces; depth against that of the mean face turned by the found pose; the 39 points of profiles over the diagonal of
their box, where the view is right; how often it is right for faces over 15 degrees from 60; the outline of wild68 by
the plane points. --sheet draws the 50 most turned photographs of ytf68 by fitted yaw, beside the first other model.
`blocks` compares both kinds of blocks: multiply-adds, ms of a crop, forward and in training.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from canthus.align.aligner import Aligner
from canthus.align.stage import System
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.drawing import draw
from canthus.evaluate.bootstrap import bootstrap_interval
from canthus.evaluate.metrics import distances, nme, normalisers
from canthus.geometry.crop import box_of
from canthus.geometry.pose import azimuth, rotation, turn_between
from canthus.nets.multi_view import NETWORKS, MultiView
from canthus.recipes import find
from canthus.runtime.bundle import Bundle
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import VIEWS, convert, union_slots
from canthus.study.figure import multiply_adds
from canthus.study.measure import disturbed
from canthus.study.plan import first_of, folder_of, load_ablation
from canthus.synth.sheet import mosaic, save
from canthus.train.landmarks.system import join, load_trained
from canthus.types import Faces

SETS = ("views_wild68", "views_ytf68")
BINS = ((0, 30), (30, 60), (60, 90.001))
SIDE = 220


class Where(NamedTuple):
    """Folder of the data sets, and the split that is measured."""

    root: Path
    split: str


def faces_of(where: Where, name: str, scheme: str = "68") -> list[Sample]:
    return list(open_set(f"views:{name}", where.root, where.split, scheme=scheme, labels="3d"))


def yaws(samples: Sequence[Sample]) -> np.ndarray:
    """Azimuth of each face, degrees. Shape (F,)."""
    return azimuth(rotation(np.stack([sample.pose for sample in samples])))


def bins(errors: np.ndarray, yaw: np.ndarray) -> dict[str, float]:
    """Means of faces by yaw, mean of the bins, mean of all faces; per cent."""
    parts = {f"{low:.0f}-{high:.0f}": errors[(abs(yaw) >= low) & (abs(yaw) < high)].mean() * 100 for low, high in BINS}
    means = {name: float(value) for name, value in parts.items()}
    return means | {"bins": float(np.mean(list(means.values()))), "faces": float(errors.mean() * 100)}


def found_by(system: System, samples: Sequence[Sample], disturb: bool) -> Faces:
    """What a system finds from true or disturbed boxes of the 68 points."""
    rng, parts = np.random.default_rng(0), []
    for start in range(0, len(samples), system.batch):
        some = samples[start : start + system.batch]
        truth = np.stack([sample.points[:, :2] for sample in some])
        view = View.of_points([sample.picture() for sample in some], truth)
        estimate = system.run(disturbed(view, rng) if disturb else view)
        parts.append(estimate.faces(box_of(truth), system.scheme))
    return Faces.concat(parts)


def errors_of(points: np.ndarray, scheme: str, samples: Sequence[Sample]) -> np.ndarray:
    """Error of the 68 points in the image plane over sqrt(w h). Shape (F,)."""
    truth = np.stack([sample.points[:, :2] for sample in samples])
    plane = points[..., :2] if scheme == "68" else convert(points[..., :2], scheme, "68")
    return nme(plane, truth, normalisers(truth, "box", Scheme.open("68")))


def interval(values: np.ndarray, samples: Sequence[Sample]) -> list[float]:
    """Interval of a mean, per cent; draws whole identities."""
    clusters = np.unique([sample.identity for sample in samples], return_inverse=True)[1]
    low, high = bootstrap_interval(100 * values[:, None], clusters)
    return [float(low[0]), float(high[0])]


def balanced(values: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Values of faces weighted so that their mean is the mean of the bins. Shape (F,)."""
    weights = np.zeros(len(values))
    for low, high in BINS:
        inside = (abs(yaw) >= low) & (abs(yaw) < high)
        weights[inside] = len(values) / (len(BINS) * inside.sum())
    return values * weights


def rows(where: Where, folder: Path) -> dict[str, Any]:
    """Errors of every row of the ablation and the paired gain of each over the row before."""
    ablation, result = load_ablation(find("ablation_multi_view")), {}
    for name in SETS if where.split == "test" else SETS[:1]:
        samples = faces_of(where, name)
        yaw = yaws(samples)
        for kind in ("true boxes", "disturbed boxes"):
            before, table = None, {}
            for row in ablation.rows:
                seeds = []
                for seed in ablation.seeds:
                    places = [
                        folder_of(folder, ablation, one, seed)
                        for one in ([first_of(row)] if row.earlier else []) + [row]
                    ]
                    system = join([load_trained(place / "last.ckpt")[0] for place in places])
                    faces = found_by(system, samples, kind == "disturbed boxes")
                    seeds.append(errors_of(faces.points, system.scheme, samples))
                mean = np.mean(seeds, 0)
                entry: dict[str, Any] = bins(mean, yaw) | {"seeds": [bins(one, yaw)["bins"] for one in seeds]}
                if before is not None:
                    gain = balanced(before - mean, yaw)
                    entry |= {"gain": float(100 * gain.mean()), "gain_interval": interval(gain, samples)}
                    entry["gain_percent"] = float(100 * gain.mean() / balanced(before, yaw).mean())
                table[row.name], before = entry, mean
            result[f"{name}, {kind}"] = table
    return result


def solid_errors(faces: Faces, truth: np.ndarray, mean: np.ndarray, true_pose: np.ndarray) -> dict[str, Any]:
    """Errors of depth (% of sqrt(w h)), of the mean face turned by the found pose, and of the pose (degrees)."""
    unit = normalisers(truth, "box", Scheme.open("84"))
    depth, wanted = (points[..., 2] - points[..., 2].mean(1, keepdims=True) for points in (faces.points, truth))
    turned = mean @ np.swapaxes(rotation(faces.pose), 1, 2)
    placed = faces.points - faces.points.mean(1, keepdims=True)
    scale = (turned[..., :2] * placed[..., :2]).sum((1, 2)) / (turned[..., :2] ** 2).sum((1, 2))
    guess = scale[:, None] * turned[..., 2]
    apart = (faces.pose - true_pose + 180) % 360 - 180
    yaw = azimuth(rotation(true_pose))
    own, base = (abs(some - wanted).mean(1) / unit for some in (depth, guess))
    table: dict[str, Any] = {"depth": bins(own, yaw), "depth of the turned mean face": bins(base, yaw)}
    for place, angle in enumerate(("yaw", "pitch", "roll")):
        table[f"{angle}, degrees"] = {key: value / 100 for key, value in bins(abs(apart[:, place]), yaw).items()}
    turn = bins(turn_between(faces.pose, true_pose), yaw)
    table["rotation, degrees"] = {key: value / 100 for key, value in turn.items()}
    return table | {"depth gain": (base - own).tolist()}


def profile_errors(faces: Faces, where: Where, name: str) -> dict[str, float | None]:
    """Mean error of the 39 points over the diagonal, % by side, of faces from 60 degrees whose view is right."""
    found: dict[str, float | None] = {}
    every = [sample.image for sample in faces_of(where, name)]
    for side, scheme in enumerate(VIEWS[1:], 1):
        samples = open_set(
            f"views:{name}", where.root, f"{where.split}/profile_{scheme[3:]}", scheme=scheme, labels="2d"
        )
        at = [every.index(sample.image) for sample in samples]
        truth = np.stack([sample.points for sample in samples])
        points = faces.plane[at][:, list(union_slots(scheme))]
        right = faces.view[at] == side
        unit = normalisers(truth, "diagonal", Scheme.open(scheme))
        found[scheme] = float(100 * nme(points[right], truth[right], unit[right]).mean()) if right.any() else None
        found[f"{scheme}, view right"] = float(100 * right.mean())
    return found


def bundle(where: Where, model: Path, others: Mapping[str, str]) -> dict[str, Any]:
    """All figures of a bundle and those of other models on the same faces."""
    aligner = Aligner.open(model)
    systems = {"multi_view": aligner.system} | {name: opened(path).system for name, path in others.items()}
    solid = load_solid(model)
    result: dict[str, Any] = {}
    for name in SETS if where.split == "test" else SETS[:1]:
        samples, deep = faces_of(where, name), faces_of(where, name, aligner.system.scheme)
        yaw = yaws(samples)
        for kind in ("true boxes", "disturbed boxes"):
            table, own = {}, None
            for row, system in systems.items():
                faces = found_by(system, samples, kind == "disturbed boxes")
                errors = errors_of(faces.points, faces.scheme, samples)
                table[row] = bins(errors, yaw)
                if own is None:
                    own, ours = errors, faces
                else:
                    table[row]["behind multi_view"] = interval(balanced(errors - own, yaw), samples)
            result[f"{name}, {kind}"] = table
            if kind == "true boxes":
                truth, pose = np.stack([one.points for one in deep]), np.stack([one.pose for one in deep])
                extra = solid_errors(ours, truth, solid, pose)
                extra["depth gain"] = interval(np.array(extra["depth gain"]), samples)
                clear = abs(abs(yaw) - 60) > 15
                wanted = np.where(abs(yaw) < 60, 0, np.where(yaw < 0, 1, 2))
                extra["view right, %"] = float(100 * (ours.view == wanted)[clear].mean())
                result[f"{name}, 3D"] = extra | {"39 points": profile_errors(ours, where, name)}
    return result | {"wild68, outline": outline_errors(where, systems)}


def opened(model: str) -> Aligner:
    """A bundle; "default" = the one in the package."""
    return Aligner.open(None if model == "default" else model)


def load_solid(model: Path) -> np.ndarray:
    """The mean 3D face of a bundle. Shape (P, 3)."""
    opened = Bundle.open(model)
    return np.asarray(opened.arrays(opened.card.stages[-1])["solid"], np.float64)


def outline_errors(where: Where, systems: Mapping[str, System]) -> dict[str, float]:
    """Inter-ocular error of the 68 outline points of wild68 test, %; for multi_view the plane points of all faces."""
    samples = list(open_set("wild68", where.root, where.split))
    truth = np.stack([sample.points for sample in samples])
    unit = normalisers(truth, "inter-ocular", Scheme.open("68"))
    found = {}
    for name, system in systems.items():
        faces = found_by(system.prefix(1) if name == "multi_view" else system, samples, False)
        found[name] = float(100 * nme(faces.points, truth, unit).mean())
        if name == "multi_view":
            found["frontal view found, %"] = float(100 * (faces.view == 0).mean())
    return found


def sheet(where: Where, systems: Mapping[str, System], out: Path) -> dict[str, Any]:
    """Overlays of the 50 most turned photographs of ytf68 test by fitted yaw, each model beside the other."""
    samples = list(open_set("fits:fits_ytf68", where.root, where.split, scheme="68", labels="2d"))
    order = np.argsort([-abs(float(sample.pose[0])) for sample in samples])[:50]
    tiles, worst = [], {}
    for name, system in systems.items():
        some = [samples[int(place)] for place in order]
        faces = found_by(system, some, False)
        inner = list(Scheme.open("51").names)
        known = faces.in_scheme("51").points[..., :2]
        truth = convert(np.stack([one.points for one in some]), "68", "51")
        unit = normalisers(np.stack([one.points for one in some]), "box", Scheme.open("68"))
        errors = 100 * distances(known, truth).mean(1) / unit
        worst[name] = {"inner points of the fit, %": [round(float(one), 2) for one in errors], "points": len(inner)}
        for row, sample in enumerate(some):
            picture = draw(sample.picture(), faces[row : row + 1])
            low, high = box_of(sample.points)[:2].astype(int), box_of(sample.points)[2:].astype(int)
            pad = int(0.25 * max(high - low))
            x0, y0 = np.maximum(low - pad, 0)
            tiles.append((row, picture[y0 : high[1] + pad, x0 : high[0] + pad]))
    ordered = [tile for _, tile in sorted(tiles, key=lambda pair: pair[0])]
    save(out, mosaic([resized(tile) for tile in ordered], 10))
    return worst


def resized(tile: np.ndarray) -> np.ndarray:
    return cv2.resize(tile, (SIDE, SIDE)).astype(np.uint8)


def timed(work: Callable[[], Any], rounds: int = 10) -> float:
    """Best time of a call, ms."""
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


def blocks() -> dict[str, Any]:
    """Multiply-adds and times of both blocks in the presets, two hourglasses for one crop, one thread."""
    torch.set_num_threads(1)
    result: dict[str, Any] = {}
    for preset in ("full", "ablation"):
        config = replace(NETWORKS["solid"].presets[preset], points=68, towards=("solid", "solid"))
        for block in ("bottleneck", "inception"):
            net = MultiView(replace(config, block=block)).to(memory_format=torch.channels_last)
            total = 0

            def add(module: Any, given: Any, found: Any) -> None:
                nonlocal total
                total += (
                    multiply_adds(module, given, found) if hasattr(module, "weight") and module.weight.ndim > 1 else 0
                )

            hooks = [module.register_forward_hook(add) for module in net.modules()]
            crop = torch.zeros(1, 3, config.size, config.size).contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                net.eval()(crop)
                for hook in hooks:
                    hook.remove()
                forward = timed(lambda net=net, crop=crop: net(crop))
            net.train()
            batch = crop.repeat(2, 1, 1, 1)

            def step(net: MultiView = net, batch: torch.Tensor = batch) -> None:
                with torch.autocast("cpu", torch.bfloat16):
                    found = net(batch)
                found.points.sum().backward()

            result[f"{preset}, {block}"] = {
                "multiply-adds": total, "ms a crop": forward, "ms a crop in training": timed(step, 4) / 2,
                "parameters": sum(p.numel() for p in net.parameters()),
            }  # fmt: skip
        a, b = (result[f"{preset}, {block}"]["ms a crop"] for block in ("inception", "bottleneck"))
        result[f"{preset}, ratio of times (paper .85)"] = a / b
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rows", "bundle", "blocks"))
    parser.add_argument("models", nargs="*")
    parser.add_argument("--split", default="test")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    where = Where(Path(os.environ.get("CANTHUS_DATA", "data")), given.split)
    others = dict(word.split("=", 1) for word in given.models[1:])
    if given.what == "rows":
        result = rows(where, Path(given.models[0]))
    elif given.what == "bundle":
        result = bundle(where, Path(given.models[0]), others)
        if given.sheet:
            first = {"multi_view": given.models[0]} | dict(list(others.items())[:1])
            result["most turned"] = sheet(where, {k: opened(v).system for k, v in first.items()}, given.sheet)
    else:
        result = blocks()
    text = json.dumps(result, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
