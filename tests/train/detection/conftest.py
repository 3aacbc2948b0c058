"""Recipes that train within seconds on the drawn faces."""

from pathlib import Path
from shutil import copytree

import cv2
import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.schemes.transfer import convert
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe
from canthus.train.recipe import Recipe


@pytest.fixture(scope="session")
def small(tiny: Recipe) -> DetectorRecipe:
    tree = tiny.model_dump(mode="json")
    shared = {name: tree[name] for name in ("sets", "val", "augment", "optimiser", "precision")}
    return DetectorRecipe.model_validate(
        {
            **shared,
            "name": "small",
            "network": "detector",
            "config": {"stem": [8, 8], "widths": [8, 16, 16], "depths": [0, 0, 0], "head": 16},
            "phases": [{"share": 1, "size": 96}],
            "scenes": {"backdrops": 6, "memory": 64, "most": 3, "smallest": 24},
            "mining": {"every": 4, "pictures": 3, "keep": 5, "least": 0.001, "ceiling": 1.0},
            "val_pictures": 3,
            "steps": 8,
            "batch": 4,
            "validate_every": 4,
        }
    )


@pytest.fixture(scope="session")
def small_score(tiny: Recipe) -> FaceScoreRecipe:
    tree = tiny.model_dump(mode="json")
    shared = {name: tree[name] for name in ("sets", "val", "augment", "optimiser", "precision")}
    return FaceScoreRecipe.model_validate(
        {
            **shared,
            "name": "small_score",
            "network": "face_score",
            "config": {"widths": [8, 16, 16, 16], "head": 16},
            "phases": [{"share": 1, "size": 48}],
            "backdrops": 6,
            "memory": 64,
            "val_crops": 10,
            "steps": 60,
            "batch": 16,
            "validate_every": 30,
        }
    )


@pytest.fixture(scope="session")
def mixed(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn faces, two of which are also in a set with five points and in one with boxes alone."""
    root = tmp_path_factory.mktemp("mixed")
    copytree(drawn / "wild68", root / "wild68")
    samples = list(open_set("wild68", drawn, "train"))[:2]
    (root / "five").mkdir()
    lines = ["image,identity," + ",".join(f"x{i},y{i}" for i in range(5))]
    for sample in samples:
        five = convert(sample.points, "68", "5")
        lines.append(f"../../wild68/images/train/{sample.image.name},a," + ",".join(f"{v:.2f}" for v in five.ravel()))
    (root / "five" / "train.csv").write_text("\n".join(lines) + "\n")
    for name in ("fairface", "backdrops"):
        (root / name / "images").mkdir(parents=True)
        for index in range(20):
            noise = np.random.default_rng(index).integers(0, 256, (80, 100, 3), np.uint8)
            cv2.imwrite(str(root / name / "images" / f"{index}.png"), noise)
    rows = "".join(f"{index}.png,20-29,Male,White\n" for index in range(20))
    (root / "fairface" / "list.csv").write_text(f"image,age,gender,race\n{rows}")
    (root / "backdrops" / "train.csv").write_text("image\n" + "".join(f"{index}.png\n" for index in range(20)))
    return root
