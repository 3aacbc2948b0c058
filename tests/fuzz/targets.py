"""What is attacked: for each class of input the valid files, and what canthus does with a damaged one."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.data.listed.landmarks_csv import read_csv
from canthus.data.listed.order_map import MAPS, OrderMap
from canthus.detect.given import BoxFile, GivenBoxes
from canthus.errors import CanthusError
from canthus.evaluate.pairing import paired
from canthus.evaluate.run import load_peers
from canthus.evaluate.table import Table, load_table
from canthus.formats import table as formats
from canthus.formats.tracks import table as tracks
from canthus.pipeline import Pipeline
from canthus.reader.image import read
from canthus.reader.stream import open_stream
from canthus.recipes import find, names
from canthus.schemes.definition import read_definition
from canthus.schemes.scheme import Scheme, scheme_of
from canthus.types import Faces, as_boxes
from canthus.work.journal import JOURNAL
from canthus.writer.images import ResultFolder, overlay_of
from fuzz import seeds
from fuzz.damage import damaged

IMAGE_NAME = "images/0.png"
IMAGE = np.full((48, 64, 3), 120, np.uint8)


@dataclass(frozen=True)
class Target:
    """A class of input.

    Attributes:
        seeds: Makes valid files in a folder.
        run: Has canthus read a file.
        damage: Damages the content of a file, whose ending is given.
    """

    seeds: Callable[[Path], Sequence[Path]]
    run: Callable[[Path], object]
    damage: Callable[[Random, bytes, str], bytes] = damaged


def _each(*steps: Callable[[], object]) -> None:
    """Every step, also after one that raised an error of canthus; the last such error is raised at the end."""
    refused: CanthusError | None = None
    for step in steps:
        try:
            step()
        except CanthusError as error:
            refused = error
    if refused is not None:
        raise refused


def _annotation(path: Path) -> None:
    hdf5 = path.suffix == ".h5"
    if hdf5:
        path = path.replace(path.with_suffix(".mat"))

    def score() -> None:
        table = load_table(path, Scheme.open("68"))
        truth = Table(np.zeros((2, 68, 2), np.float32), "68", (IMAGE_NAME, "images/1.png"))
        paired(table, truth)
        paired(truth, table)

    if hdf5:  # each reading takes a process
        load_table(path, Scheme.open("68"))
    elif path.name in ("boxes.csv", "many.csv"):
        BoxFile.open(path, "tight_" if path.name == "many.csv" else "").of("a.jpg")
    elif path.suffix in (".pts", ".ljson"):  # one face without the name of its picture
        _each(lambda: formats.load(path), lambda: load_table(path, Scheme.open("68")), lambda: BoxFile.open(path))
    else:
        _each(lambda: formats.load(path), score, lambda: BoxFile.open(path).of(IMAGE_NAME))


def _data_set(path: Path) -> None:
    root = next(parent for parent in path.parents if (parent / MAPS).exists())

    def samples(name: str, split: str, **options: str) -> Callable[[], object]:
        return lambda: [sample.points for sample in open_set(name, root, split, **options)]

    def cofw() -> None:
        shutil.copy(root / "cofw" / "COFW_test.h5", root / "cofw" / "COFW_test.mat")
        for sample in open_set("cofw", root, "test"):
            sample.picture()

    of_folder: dict[str, list[Callable[[], object]]] = {
        "views": [samples("views", "train"), samples("views", "train", labels="wide")],
        "fits": [samples("fits", "train")],
        "packed": [lambda: [sample.picture() for sample in open_set("packed", root, "train")]],
        "300vw": [samples("300vw", "synth"), samples("300vw", "synth", labels="3d")],
        "wild68": [
            lambda: [sample.points for sample in read_csv(root / "wild68", "val")],
            lambda: load_peers(root / "wild68" / "val_peers.npz", Table(np.zeros((2, 68, 2), np.float32))),
        ],
        "wflw": [samples("wflw", "test")],
        "300w-lp": [samples("300w-lp", "afw", labels=labels) for labels in ("3d", "2d", "original")],
        "cofw": [cofw],
        "aflw": [samples("aflw", "all")],
        MAPS: [lambda: OrderMap.open(root / MAPS, "wild69").apply(np.zeros((1, 68, 2), np.float32))],
    }
    _each(*of_folder[path.relative_to(root).parts[0]])


def _bundle(path: Path) -> None:
    aligner = Aligner.open(path)
    aligner.align(IMAGE, [[10, 8, 40, 40], [0, 0, 64, 48]], [0, 30])
    aligner.align(IMAGE, np.zeros((0, 4)))


def _recipe(path: Path) -> None:
    from canthus.study.plan import load_ablation
    from canthus.train.stages import load_stages

    content = path.read_bytes().decode("utf-8", "replace")
    if "\nrows:" in content:
        load_ablation(path)
        return
    lines = content.splitlines()
    changes = [line.removeprefix("#--set ") for line in lines if line.startswith("#--set ")]
    _each(lambda: load_stages(path, Path("runs")), lambda: load_stages(path, Path("runs"), changes))


def _recipes(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.yaml").write_text(seeds.RECIPE)
    shipped = [find(name) for name in names()]
    return [folder / "small.yaml", *(Path(shutil.copy(path, folder)) for path in shipped)]


def _checkpoints(folder: Path) -> list[Path]:
    """A checkpoint, and the card of its run."""
    import torch

    from canthus.train.run_card import RunCard

    folder.mkdir(parents=True, exist_ok=True)
    state = {"net.weight": torch.ones(3, 4), "net.bias": torch.zeros(4), "other": torch.ones(1)}
    torch.save({"state_dict": state, "global_step": 7}, folder / "best.ckpt")
    plain = {"command": ["canthus"], "packages": {"torch": "2"}, "python": "3", "machine": {}, "data": {"a": None}}
    RunCard.model_validate({"recipe": {"name": "a"}, "scheme": "68", "sessions": [], **plain}).write(folder)
    return [folder / "best.ckpt", folder / "card.json"]


def _checkpoint(path: Path) -> None:
    from canthus.train.checkpoint import steps_of, weights_of
    from canthus.train.run_card import RunCard

    if path.suffix == ".json":
        RunCard.beside(path.with_name("best.ckpt")).lineage()
    else:
        _each(lambda: weights_of(path), lambda: steps_of(path))


def _box(path: Path) -> None:
    boxes, rolls = json.loads(path.read_text())

    def overlay() -> None:
        overlay_of(IMAGE, Faces.of_boxes(as_boxes(boxes)))

    with np.errstate(all="ignore"):
        _each(
            lambda: _Shared.aligner().align(IMAGE, boxes),
            lambda: _Shared.aligner().align(IMAGE, boxes, rolls),
            lambda: Pipeline(GivenBoxes(boxes), _Shared.aligner())(IMAGE),
            overlay,
        )


class _Shared:
    """The shipped aligner, which is opened once."""

    _aligner: Aligner | None = None

    @classmethod
    def aligner(cls) -> Aligner:
        cls._aligner = cls._aligner or Aligner.open()
        return cls._aligner


def _boxes(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "boxes.json").write_text(json.dumps([[[10, 8, 40, 40]], [10.0]]))
    return [folder / "boxes.json"]


def _box_damage(rng: Random, data: bytes, kind: str) -> bytes:
    """Boxes that are huge, tiny, far away, reversed, without area or not numbers; and rolls."""

    def number() -> float:
        special = (0.0, -1.0, 1e-30, 1e-3, 64.0, 1e4, -1e4, 1e6, 1e7, 1e12, 3e38, -3e38, float("nan"), float("inf"))
        return rng.choice(special) if rng.random() < 0.4 else rng.uniform(-100, 200)

    def box() -> list[float]:
        x, y = number(), number()
        width, height = abs(number()), abs(number())
        return [x, y, x + width, y + height] if rng.random() < 0.8 else [number() for _ in range(rng.choice((3, 4, 5)))]

    count = rng.choice((0, 1, 1, 1, 2, 5))
    rolls = [number() for _ in range(count if rng.random() < 0.9 else count + 1)]
    return json.dumps([[box() for _ in range(count)], rolls]).encode()


def _journals(folder: Path) -> list[Path]:
    """The journal of a run over two pictures."""
    paths = seeds.pictures(folder / "in")[:2]
    with ResultFolder(folder / "out", paths, folder / "in", ("json", "csv")) as results:
        for path in paths:
            results.write(path, IMAGE, Faces.of_boxes(np.array([[1, 2, 30, 40]], np.float32)))
    return [Path(shutil.copy(folder / "out" / JOURNAL, folder / "journal.jsonl"))]


def _journal(path: Path) -> None:
    folder = path.parent
    victim, paths = folder / "victim.txt", sorted((folder / "in").iterdir())[:2]
    victim.touch()
    shutil.copy(path, folder / "out" / JOURNAL)
    with ResultFolder(folder / "out", paths, folder / "in", ("json", "csv"), resume=True) as results:
        for picture in paths:
            if not results.done(picture):
                results.write(picture, IMAGE, Faces.of_boxes(np.array([[1, 2, 30, 40]], np.float32)))
    assert victim.exists() and all(picture.exists() for picture in paths), "a file outside the folder is gone"


def _video(path: Path) -> None:
    """Damaged parts are errors of frames; the first of them is raised, as that of a file that is no video is."""
    with closing(open_stream(path)) as stream:
        errors = [frame.error for frame in stream if frame.error is not None]
    if errors:
        raise errors[0]


def _format(ending: str) -> Target:
    return Target(lambda folder: seeds.annotations(folder)[ending], _annotation)


TARGETS: dict[str, Target] = {
    "pictures": Target(seeds.pictures, read),
    **{f"points {ending}": _format(ending) for ending in (".pts", ".ljson", ".csv", ".json", ".npz", ".mat")},
    "points .mat 7.3": _format(".h5"),
    "tracks": Target(seeds.tracks, tracks.load),
    "videos": Target(seeds.videos, _video),
    "data sets": Target(seeds.data_sets, _data_set),
    "bundles": Target(seeds.bundles, _bundle),
    "recipes": Target(_recipes, _recipe),
    "schemes": Target(seeds.schemes, lambda path: scheme_of(path.stem, read_definition(path))),
    "checkpoints": Target(_checkpoints, _checkpoint),
    "boxes": Target(_boxes, _box, _box_damage),
    "journals": Target(_journals, _journal),
}
"""Every class of input by name."""
