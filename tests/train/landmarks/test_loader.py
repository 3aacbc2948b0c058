from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.geometry.crop import box_frames, box_of
from canthus.geometry.transform import apply
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.loader import Stream, load_pool, shape_distance
from canthus.train.recipe import Recipe


def test_a_batch_depends_on_seed_step_and_process_alone(drawn: Path, tiny: Recipe) -> None:
    pool = load_pool(tiny, drawn)
    whole = list(Stream(pool, tiny, 1.3, "68", rank=0, first=0))
    later = list(Stream(pool, tiny, 1.3, "68", rank=0, first=28))
    assert len(whole) == 30
    assert all(torch.equal(whole[28][key], later[0][key]) for key in ("crops", "points", "trust"))
    other = Stream(pool, tiny, 1.3, "68", rank=1, first=0).batch(28)
    assert not torch.equal(other["crops"], later[0]["crops"])


def test_shapes_and_where_points_lie(drawn: Path, tiny: Recipe) -> None:
    pool = load_pool(tiny, drawn)
    batch = Stream(pool, tiny, 1.3, "68", 0, 0).batch(0)
    assert batch["crops"].shape == (8, 32, 32, 3)
    assert batch["crops"].dtype == torch.uint8
    assert batch["points"].shape == (8, 68, 2)
    assert ((batch["points"] > 0) & (batch["points"] < 31)).float().mean() > 0.95
    assert batch["pose"].isnan().all()


def test_a_mirrored_sample_is_the_mirror_image(drawn: Path, tiny: Recipe) -> None:
    still = {"scale": 1, "shift": 0, "stretch": 1}
    settings = tiny.augment.model_copy(update=still)
    plain, flipped = (tiny.model_copy(update={"augment": settings.model_copy(update={"flip": f})}) for f in (0, 1))
    pool = load_pool(tiny, drawn)
    a, b = (Stream(pool, recipe, 1.3, "68", 0, 0).batch(3) for recipe in (plain, flipped))
    assert torch.equal(a["crops"].flip(2), b["crops"])
    mirrored = Scheme.open("68").mirrored(a["points"].numpy(), 32)
    np.testing.assert_allclose(b["points"].numpy(), mirrored, atol=1e-4)


def test_large_pictures_are_reduced_with_their_points(drawn: Path, tiny: Recipe) -> None:
    pool = load_pool(tiny, drawn)
    assert pool.chance.sum() == 1
    np.testing.assert_allclose(pool.frames, box_frames(box_of(pool.points)))


def test_rare_shapes_are_drawn_more_often() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 20, (68, 2))
    points = (mean + rng.normal(0, 0.5, (50, 68, 2))).astype(np.float32)
    points[7, 48:] += 15
    distance = shape_distance(points)
    assert distance.argmax() == 7
    assert distance[7] == 3
    turned = points @ np.array([[0.6, 0.8], [-0.8, 0.6]], np.float32) * 2 + 30
    np.testing.assert_allclose(shape_distance(turned), distance, rtol=1e-3)


def test_crops_by_the_mean_shape(drawn: Path, tiny: Recipe) -> None:
    """Turned faces stand upright in their crops, as far as the mean shape does."""
    recipe = tiny.model_copy(update={"crop": "shape"})
    pool = load_pool(recipe, drawn)
    assert pool.mean is not None
    standing = apply(pool.frames, pool.points)
    assert np.abs(standing - pool.mean).max() < 0.02


def test_crops_by_other_points_than_the_labels(drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the first frame of a video: from 2D points to 3D ones (local_global, section 3.4)."""
    share = tiny.sets[0].model_copy(update={"given": {"labels": "outline"}})
    recipe = tiny.model_copy(update={"crop": "shape", "sets": [share]})

    def opened(name: str, root: Path, split: str, **options: str) -> list[Sample]:
        samples = list(open_set(name, root, split))
        if options.get("labels") != "outline":
            return samples
        return [replace(sample, points=sample.points + np.float32([7, -3])) for sample in samples[1:]]

    monkeypatch.setattr("canthus.train.landmarks.loader.open_set", opened)
    pool = load_pool(recipe, drawn)
    assert pool.mean is not None
    factor = np.linalg.norm(pool.frames[:, 0, :2], axis=1)
    moved = (apply(pool.frames, pool.points) - pool.mean).mean(1) / factor[:, None]
    np.testing.assert_allclose(moved[0], [0, 0], atol=0.2)  # no such points: its labels
    np.testing.assert_allclose(moved[1:], np.tile([-7, 3], (7, 1)), atol=0.2)
