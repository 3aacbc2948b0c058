"""Crops for the face score: where the face is in those of each kind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.geometry.box import overlaps
from canthus.nets.detection.face_score import FaceScoreConfig
from canthus.train.detection.backdrops import make_backdrops
from canthus.train.detection.crops import CropMaker
from canthus.train.detection.loader import CropBatches
from canthus.train.detection.pool import load_faces
from canthus.train.detection.recipe import FaceScoreRecipe

CONFIG = FaceScoreConfig()
BOX = np.array([[-0.5, -0.5, 0.5, 0.5]]) / CONFIG.margin
"""The box that a crop is cut around, in crops around its middle."""


@pytest.fixture(scope="module")
def crops(drawn: Path, small_score: FaceScoreRecipe) -> CropMaker:
    pool = load_faces(small_score.sets, drawn, small_score.memory)
    backdrops = make_backdrops(pool, 5, 150, np.random.default_rng(0))
    return CropMaker(pool, backdrops, CONFIG, small_score)


def test_boxes_of_each_kind(crops: CropMaker) -> None:
    rng = np.random.default_rng(1)
    around = [crops.around(rng) for _ in range(60)]
    beside = [crops.beside(rng) for _ in range(60)]
    near = overlaps(np.stack([crop.box for crop in around]), BOX)
    far = overlaps(np.stack([crop.box for crop in beside]), BOX)
    assert np.median(near) > 0.6 and near.min() > 0.35 and far.max() < 0.5
    assert all(crop.face for crop in around) and not any(crop.face for crop in beside)
    for crop in around:
        assert (crop.points > crop.box[:2]).all() and (crop.points < crop.box[2:]).all()
    empty = crops.background(rng)
    assert not empty.face and np.isnan(empty.box).all() and empty.image.shape == (48, 48, 3)


def test_batches_depend_on_seed_step_and_process(crops: CropMaker, small_score: FaceScoreRecipe) -> None:
    one, again, other = (CropBatches(crops, small_score, process).batch(5) for process in (0, 0, 1))
    assert all(torch.equal(one[name].nan_to_num(), again[name].nan_to_num()) for name in one)
    assert not torch.equal(one["crops"], other["crops"])
    assert one["crops"].shape == (16, 48, 48, 3) and set(one["face"].tolist()) == {0.0, 1.0}
