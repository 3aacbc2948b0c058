"""Recipes that train within seconds on the drawn faces."""

import pytest

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
