"""coarse_to_fine stage by stage: v_gt and v_real, the angle, crop error in against error left, transfer, times.

    CANTHUS_DATA=... python benchmarks/coarse_to_fine.py stages BUNDLE.canthus [--before BUNDLE] [--set S] [--split val]
    CANTHUS_DATA=... python benchmarks/coarse_to_fine.py angle BUNDLE.canthus [--split val] [--picture F]
    CANTHUS_DATA=... python benchmarks/coarse_to_fine.py curve BUNDLE.canthus [--split val]
    CANTHUS_DATA=... python benchmarks/coarse_to_fine.py transfer BUNDLE.canthus [--split val] [--depth 1]
    CANTHUS_DATA=... python benchmarks/coarse_to_fine.py transfer BUNDLE.canthus --set views:views_wild68 \
        --split test/profile_left --options '{"scheme": "39_left"}'
    python benchmarks/coarse_to_fine.py times BUNDLE.canthus

All take --json F. Errors are means over the faces of --set (wild68) --split, % of the inter-ocular distance (of half
faces of the diagonal of the tightest box, as in table 1 of the paper), of all points, inner points, each component,
tangent and normal parts of the contour. `stages`: v_gt starts from true points, v_real from the stages before, which
begin with true boxes or with boxes of `study.measure.disturbed`; gains over the stage before, paired by face, with an
interval (95 %) that draws whole identities; also those of the tenth of the faces with the strongest expression, and of
the tenth with the least symmetric one, by the weights of expressions that the face model fits to the labels. --before
puts another bundle, as the default, in place of the coarse stage. `angle`: share of faces within 5 degrees after a
random turn over the full circle, of wild68 and ytf68, and the curve. `curve`: inner points moved by a random similarity
of 0 to 10 % of the inter-ocular distance, and the error that each stage leaves. `transfer`: least squares fitted to
what the model finds in train, to fitted points, and a small network, for a bundle with inner points of 81; --depth:
after so many stages. `times`: ms a face of each depth, one thread, batches of 1 and 32.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from canthus.align.aligner import Aligner
from canthus.align.coarse_to_fine import fit_transfer, transferred
from canthus.align.estimate import Estimate
from canthus.align.stage import Stage, System
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.evaluate.bootstrap import bootstrap_interval
from canthus.evaluate.metrics import Normaliser, normalisers
from canthus.export.transfer import RIDGES, seen
from canthus.face3d.fit import Fitter
from canthus.face3d.morphable import MorphableModel
from canthus.geometry.crop import box_of
from canthus.geometry.shape import align, mean_shape
from canthus.geometry.transform import apply, compose, similarity
from canthus.runtime.bundle import Bundle
from canthus.schemes.scheme import Scheme
from canthus.study.measure import disturbed

Errors = dict[str, np.ndarray]
BATCH = 32


class Faces(NamedTuple):
    """Labelled faces: pictures, points (F, P, 2), their scheme, and the number of the identity of each (F,)."""

    pictures: list[np.ndarray]
    truth: np.ndarray
    scheme: Scheme
    people: np.ndarray

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Faces":
        """The faces of samples."""
        truth = np.stack([sample.points[:, :2] for sample in samples]).astype(np.float32)
        people = np.unique([sample.identity for sample in samples], return_inverse=True)[1]
        return cls([sample.picture() for sample in samples], truth, Scheme.open(samples[0].scheme), people)

    @property
    def unit(self) -> np.ndarray:
        """Distance between the outer eye corners; of a scheme without, the diagonal of the tightest box. Shape (F,)."""
        kind: Normaliser = "inter-ocular" if "inter-ocular" in self.scheme.normalisers else "diagonal"
        return normalisers(self.truth, kind, self.scheme)

    def run(self, row: Sequence[Stage], given: np.ndarray | None = None, disturb: bool = False) -> np.ndarray:
        """What a row of stages finds from true or disturbed boxes, or from given points."""
        system, rng, found = System("row", self.scheme.name, row), np.random.default_rng(0), []
        for start in range(0, len(self.truth), BATCH):
            some = slice(start, start + BATCH)
            view = View.of_points(self.pictures[some], self.truth[some])
            known = None if given is None else Estimate.of_points(given[some])
            found.append(system.run(disturbed(view, rng) if disturb else view, known).points[..., :2])
        return np.concatenate(found)

    def errors(self, points: np.ndarray) -> Errors:
        """Error of each face in %, by group of points. Shape (F,) each."""
        apart = (points - self.truth) / self.unit[:, None, None] * 100
        each = np.linalg.norm(apart, axis=-1)
        groups = {"all": range(self.scheme.count), "inner": self.scheme.groups["inner"], **self.scheme.components}
        groups["contour"] = self.scheme.contour
        table = {name: each[:, list(group)].mean(1) for name, group in groups.items() if len(group)}
        contour = list(self.scheme.contour)
        if len(contour) > 2:
            along = np.gradient(self.truth[:, contour], axis=1)
            along /= np.linalg.norm(along, axis=-1, keepdims=True) + 1e-9
            tangent = (apart[:, contour] * along).sum(-1)
            normal = apart[:, contour, 0] * -along[..., 1] + apart[:, contour, 1] * along[..., 0]
            table |= {"contour, tangent": np.abs(tangent).mean(1), "contour, normal": np.abs(normal).mean(1)}
        return table


def means(errors: Errors, chosen: np.ndarray | slice = slice(None)) -> dict[str, float]:
    return {name: float(values[chosen].mean()) for name, values in errors.items()}


def gains(
    before: Errors, after: Errors, people: np.ndarray, chosen: np.ndarray | slice = slice(None)
) -> dict[str, Any]:
    """Gain of each group in % of the error before, and the interval of the difference in percentage points."""
    table, clusters = {}, np.unique(people[chosen], return_inverse=True)[1]
    for name, values in before.items():
        gain, base = (values - after[name])[chosen], values[chosen].mean()
        low, high = bootstrap_interval(gain[:, None], clusters)
        table[name] = {"gain_percent": float(100 * gain.mean() / base), "interval": [float(low[0]), float(high[0])]}
    return table


def rows_of(model: Path, before: Path | None) -> tuple[list[Stage], list[Stage]]:
    """Stages that start from the box, and later ones (components, points)."""
    row = list(Aligner.open(model).system.stages)
    later = [stage for stage in row if stage.name in ("components", "points")]
    first = list(Aligner.open(before).system.stages) if before else [row[0]]
    return first, later


def expressive(faces: Faces) -> dict[str, np.ndarray]:
    """The tenth of the faces with the largest weights of expressions, and with the largest differences of the sides."""
    if faces.scheme.name != "68":
        return {}  # the labels are fits themselves
    model = MorphableModel.open(Path(os.environ.get("CANTHUS_DATA", "data")) / "ict_facekit" / "ict_facekit.npz")
    weights, names = Fitter(model, "68").fit(faces.truth).expression, list(model.expression_names)
    pairs = [(names.index(name), names.index(f"{name[:-1]}R")) for name in names if name.endswith("_L")]
    left, right = (weights[:, list(side)] for side in zip(*pairs, strict=True))
    sums = {"strong expression": weights.sum(1), "one-sided expression": np.abs(left - right).sum(1)}
    return {name: total >= np.nanquantile(total, 0.9) for name, total in sums.items()}


def stages_table(faces: Faces, model: Path, before: Path | None) -> dict[str, Any]:
    first, later = rows_of(model, before)
    chosen = expressive(faces)
    result: dict[str, Any] = {"faces": len(faces.truth)} | {name: int(some.sum()) for name, some in chosen.items()}
    for kind in ("true boxes", "disturbed boxes"):
        points = faces.run(first, disturb=kind != "true boxes")
        known = faces.errors(points)
        table: dict[str, Any] = {"coarse": {"v_real": means(known)}}
        table["coarse"] |= {name: means(known, some) for name, some in chosen.items()}
        if before is None and kind == "true boxes":
            table["coarse"]["v_gt"] = means(faces.errors(faces.run(first, faces.truth)))
        for stage in later:
            points = faces.run([stage], points)
            found = faces.errors(points)
            table[stage.name] = {
                "v_real": means(found),
                "v_gt": means(faces.errors(faces.run([stage], faces.truth))),
                "gain": gains(known, found, faces.people),
            }
            for name, some in chosen.items():
                table[stage.name][name] = means(found, some)
                table[stage.name][f"gain, {name}"] = gains(known, found, faces.people, some)
            known = found
        result[kind] = table
    return result


def turned(faces: Faces, rng: np.random.Generator) -> tuple[Faces, np.ndarray]:
    """The faces, each picture turned by a random angle around the centre of the face; and these angles, degrees."""
    angles, pictures, points = rng.uniform(-180, 180, len(faces.truth)), [], []
    for picture, truth, angle in zip(faces.pictures, faces.truth, angles, strict=True):
        low, high = box_of(truth)[:2], box_of(truth)[2:]
        centre, side = (low + high) / 2, int(2.4 * max(high - low))
        move = compose(
            similarity(1.0, float(angle), ((side - 1) / 2, (side - 1) / 2)),
            similarity(shift=(-float(centre[0]), -float(centre[1]))),
        )
        pictures.append(cv2.warpAffine(picture, move, (side, side), flags=cv2.INTER_LINEAR).astype(np.uint8))
        points.append(apply(move, truth))
    return faces._replace(pictures=pictures, truth=np.stack(points).astype(np.float32)), angles


def angle_table(root: Path, split: str, model: Path, picture: Path | None) -> dict[str, Any]:
    first, result, curves = Aligner.open(model).system.stages[0], {}, {}
    for name in ("wild68", "ytf68"):
        faces = Faces.of(list(open_set(name, root, split)))
        mean = mean_shape(faces.truth)
        mean = mean + mean[faces.scheme.mirror] * (-1, 1)
        some, _ = turned(faces, np.random.default_rng(1))
        frames = align(some.truth, mean)[1]
        wanted = -np.degrees(np.arctan2(frames[:, 1, 0], frames[:, 0, 0]))
        found = []
        for start in range(0, len(some.truth), BATCH):
            part = slice(start, start + BATCH)
            view = View.of_points(some.pictures[part], some.truth[part])
            found.append(-first.look(view, None).angles)
        apart = np.abs((np.concatenate(found) - wanted + 180) % 360 - 180)
        limits = [1, 2, 3, 5, 7, 10, 15, 20, 30, 60, 90, 180]
        curves[name] = apart
        result[name] = {
            "within 5 degrees, %": float(100 * (apart <= 5).mean()),
            "median": float(np.median(apart)),
            "curve": {str(limit): float(100 * (apart <= limit).mean()) for limit in limits},
        }
    if picture is not None:
        draw_curve(curves, picture)
    return result


def draw_curve(curves: dict[str, np.ndarray], out: Path) -> None:
    """Share of faces below each error, as figure 2 of the paper."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4.5, 3.2))
    for name, apart in curves.items():
        axes.plot(np.sort(apart), np.linspace(0, 100, len(apart)), label=name)
    axes.axvline(5, color="grey", linewidth=0.8)
    axes.set(xlim=(0, 20), ylim=(0, 100), xlabel="error of the angle, degrees", ylabel="faces, %")
    axes.legend()
    figure.savefig(out, bbox_inches="tight", dpi=150)


def curve_table(faces: Faces, model: Path) -> dict[str, Any]:
    """Mean error of inner points put in, by random similarities around each component, against the error left."""
    _, later = rows_of(model, None)
    result: dict[str, Any] = {}
    groups = [list(group) for group in faces.scheme.components.values()]
    for stage in later:
        line = []
        for level in range(15):
            rng, given = np.random.default_rng(level), faces.truth.copy()
            for face, unit in enumerate(faces.unit):
                for group in groups:
                    part = given[face, group]
                    size = max(np.ptp(part, axis=0))
                    shift = rng.normal(0, level / 100 / 1.9 * unit, 2)
                    scale, angle = np.exp(rng.normal(0, level / 100)), rng.normal(0, level)
                    moved = (
                        (part - part.mean(0)) @ similarity(float(scale), float(angle))[:, :2].T + part.mean(0) + shift
                    )
                    given[face, group] = moved if size > 0 else part
            put = faces.errors(given)["inner"].mean()
            left = faces.errors(faces.run([stage], given))["inner"].mean()
            line.append({"in": float(put), "left": float(left)})
        result[stage.name] = line
    return result


def transfer_table(root: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Points of another scheme from inner points of 81: least squares on found or on fitted points, and a network."""
    names = [stage.name for stage in Bundle.open(given.model).card.stages if stage.name not in ("angle", "transfer")]
    aligner = Aligner.open(given.model, depth=given.depth or len(names))
    source, options = aligner.system.scheme, json.loads(given.options)
    split, _, group = given.split.partition("/")
    train, val, test = (
        list(open_set(given.set, root, f"{part}/{group}", **options)) for part in ("train", "val", split)
    )
    (found, truth), (other, goal), (last, _) = (seen(aligner, some) for some in (train, val, test))
    place = "fits:fits_wild68" if given.set == "wild68" else given.set
    fits = list(open_set(place, root, f"train/{group}", scheme=source, labels="outline"))
    labels = {sample.image.name: sample.points for sample in train}
    exact = np.stack([sample.points for sample in fits]), np.stack([labels[sample.image.name] for sample in fits])
    faces, target, result = Faces.of(test), test[0].scheme, {"faces": len(test), "stages": names[: given.depth]}
    for name, (points, answers) in {"found points": (found, truth), "fitted points": exact}.items():
        tried = {
            ridge: transferred(Estimate.of_points(other), fit_transfer(points, source, answers, target, ridge)).points
            for ridge in RIDGES
        }
        best = min(tried, key=lambda ridge: np.linalg.norm(tried[ridge] - goal, axis=-1).mean())
        arrays = fit_transfer(points, source, answers, target, best)
        moved = transferred(Estimate.of_points(last), arrays).points
        result[f"least squares, {name}"] = means(faces.errors(moved)) | {"ridge": best}
    used = [*arrays["transfer_inner"], *arrays["transfer_copied"][:, 1]]
    network = fit_network(found[:, used], truth, other[:, used], goal)
    result["network, found points"] = means(faces.errors(network(last[:, used])))
    return result


def fit_network(
    found: np.ndarray, truth: np.ndarray, other: np.ndarray, goal: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Two layers from found points to the labels, in the frame of the box; the step with the best faces of val."""
    torch.manual_seed(0)

    def frame(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        boxes = box_of(points)
        return (boxes[:, None, :2] + boxes[:, None, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1)[:, None, None]

    def inside(points: np.ndarray, by: np.ndarray) -> torch.Tensor:
        middle, side = frame(by)
        return torch.from_numpy(((points - middle) / side).reshape(len(points), -1).astype(np.float32))

    x, y, u, v = inside(found, found), inside(truth, found), inside(other, other), inside(goal, other)
    net = torch.nn.Sequential(torch.nn.Linear(x.shape[1], 256), torch.nn.ReLU(), torch.nn.Linear(256, y.shape[1]))
    optimiser, best, kept = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-5), np.inf, None
    for step in range(4000):
        chosen = torch.randint(len(x), (256,))
        loss = ((net(x[chosen]) - y[chosen]) ** 2).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 99:
            with torch.no_grad():
                error = float(((net(u) - v) ** 2).sum(1).mean())
            if error < best:
                best, kept = error, {name: value.clone() for name, value in net.state_dict().items()}
    assert kept is not None
    net.load_state_dict(kept)

    def convert(points: np.ndarray) -> np.ndarray:
        middle, side = frame(points)
        with torch.no_grad():
            return net(inside(points, points)).numpy().reshape(len(points), -1, 2) * side + middle

    return convert


def times(root: Path, model: Path) -> dict[str, Any]:
    samples = list(open_set("wild68", root, "val"))[:BATCH]
    pictures, boxes = [sample.picture() for sample in samples], [box_of(sample.points)[None] for sample in samples]
    cv2.setNumThreads(1)
    result: dict[str, Any] = {"MB": model.stat().st_size / 2**20}
    for precision in Bundle.open(model).card.precisions:
        count = len(Aligner.open(model).system.stages)
        for depth in range(1, count + 1):
            aligner = Aligner.open(model, precision=precision, depth=depth)
            one = timed(lambda aligner=aligner: aligner.align(pictures[0], boxes[0]), 20)
            many = timed(lambda aligner=aligner: aligner.align_many(pictures, boxes), 5) / len(samples)
            result[f"{precision}, depth {depth}"] = {"batch 1": one, "batch 32": many}
    return result


def timed(work: Callable[[], Any], rounds: int) -> float:
    """Best time of a call, ms."""
    best = np.inf
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("stages", "angle", "curve", "transfer", "times"))
    parser.add_argument("model", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--set", default="wild68")
    parser.add_argument("--split", default="test")
    parser.add_argument("--options", default="{}", help="options of the reader of the set, as JSON")
    parser.add_argument("--depth", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    root = Path(os.environ.get("CANTHUS_DATA", "data"))
    if given.what == "angle":
        result = angle_table(root, given.split, given.model, given.picture)
    elif given.what == "transfer":
        result = transfer_table(root, given)
    elif given.what == "times":
        result = times(root, given.model)
    else:
        faces = Faces.of(list(open_set(given.set, root, given.split, **json.loads(given.options))))
        works: dict[str, Callable[[], dict[str, Any]]] = {
            "stages": lambda: stages_table(faces, given.model, given.before),
            "curve": lambda: curve_table(faces, given.model),
        }
        result = works[given.what]()
    text = json.dumps(result, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
