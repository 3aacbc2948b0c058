"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import hypothesis
import numpy as np
import pytest

from canthus.schemes.scheme import Scheme

if TYPE_CHECKING:
    from canthus.train.recipe import Recipe

pytest_plugins = ["toy_head"]


def pytest_configure() -> None:
    """Give each worker a core of its own: two that train with two threads each would slow each other down."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


hypothesis.settings.register_profile("canthus", max_examples=50, deadline=None, derandomize=True)
hypothesis.settings.load_profile("canthus")


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The shared data sets; tests that need them carry the mark `data`."""
    folder = os.environ.get("CANTHUS_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    if os.environ.get("CANTHUS_DATA_REQUIRED"):
        pytest.fail(f"CANTHUS_DATA ({folder}) is not a folder, and here the tests on data must run")
    pytest.skip("CANTHUS_DATA does not name the folder of the shared data")


def _draw_set(folder: Path, counts: dict[str, int]) -> None:
    """Coloured dots at 68 places that move together, in the CSV form of wild68; the places are mirror symmetric."""
    rng = np.random.default_rng(7)
    mirror, numbers = Scheme.open("68").mirror, np.arange(68)
    pairs, middle = numbers[mirror > numbers], numbers[mirror == numbers]
    mean = np.zeros((68, 2))
    mean[middle, 1] = np.linspace(-1, 1, len(middle))
    grid = np.arange(len(pairs)) + 4  # so that the outer eye corners are far apart
    mean[pairs] = np.column_stack([0.2 + 0.2 * (grid % 5), grid // 5 / 3 - 1 + 0.04 * (grid % 5)])
    mean[mirror[pairs]] = mean[pairs] * (-1, 1)
    for split, count in counts.items():
        rows = ["image,identity," + ",".join(f"x{i},y{i}" for i in range(68))]
        for index in range(count):
            points = 60 + 30 * mean + rng.normal(0, 4, 2)
            image = np.full((120, 120, 3), 40, np.uint8)
            for number, (x, y) in enumerate(points):
                colour = (int(number * 3.5), 255 - int(number * 3.5), (number * 37) % 256)
                cv2.circle(image, (round(x * 8), round(y * 8)), 20, colour, -1, cv2.LINE_AA, 3)
            name = f"{split}/{index}.png"
            (folder / "images" / split).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / "images" / name), image)
            rows.append(f"{name},person{split}{index}," + ",".join(f"{v:.2f}" for v in points.ravel()))
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the data sets; holds `wild68` with 8 training and 4 validation faces."""
    root = tmp_path_factory.mktemp("data")
    _draw_set(root / "wild68", {"train": 8, "val": 4})
    return root


@pytest.fixture(scope="session")
def turned(drawn: Path) -> Path:
    """The same folder; holds `views` of those faces, said to be a frontal one, a left and a right profile in turn."""
    rng = np.random.default_rng(5)
    counts = {"68": 68, "81": 81, "39_left": 39, "39_right": 39}
    shapes = {name: rng.uniform(-1, 1, (count, 2)) for name, count in counts.items()}
    for split in ("train", "val"):
        names, found = [], []
        for row in np.genfromtxt(drawn / "wild68" / f"{split}.csv", delimiter=",", dtype=str, skip_header=1):
            names.append(f"../../wild68/images/{row[0]}")
            found.append(row[2:].astype(float).reshape(68, 2).mean(0))
        index = {
            "images": np.array(names),
            "identities": np.array(names),
            "pose": np.zeros((len(names), 3), np.float32),
            "azimuth": np.resize(np.float32([5, -80, 80]), len(names)),
            "kind": np.full(len(names), ""),
        }
        for name, shape in shapes.items():
            flat = 30 * shape + np.stack(found)[:, None]
            index[f"points_{name}"] = np.pad(flat, [(0, 0), (0, 0), (0, 1)]).astype(np.float32)
            index[f"visible_{name}"] = np.ones(flat.shape[:2], bool)
        (drawn / "views" / split).mkdir(parents=True)
        np.savez(drawn / "views" / split / "index.npz", **index, outline_68=index["points_68"])
    return drawn


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    """A recipe that trains on them within seconds."""
    from canthus.train.recipe import Recipe  # so that scripts/check_versions needs no torch

    return Recipe.model_validate(
        {
            "name": "tiny",
            "config": {"size": 32, "stem": [8, 16], "widths": [24, 24], "depths": [1, 1], "head": 16},
            "sets": [{"name": "wild68"}],
            "val": [{"name": "wild68", "split": "val"}],
            "augment": {
                "flip": 0,
                "rotation": 0,
                "occlude": 0,
                "light": 0,
                "grey": 0,
                "blur": 0,
                "shrink": 0,
                "jpeg": 0,
                "noise": 0,
            },
            "optimiser": {"rate": 5e-3, "ema": 0.9},
            "phases": [{"share": 1, "size": 32}],
            "steps": 30,
            "batch": 8,
            "validate_every": 15,
            "precision": "32-true",
        }
    )
