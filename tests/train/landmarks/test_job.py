"""What is prepared for a run of landmarks: arrays, facts about the faces, earlier stages."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.errors import InputError
from canthus.geometry.crop import unit_mean
from canthus.nets.systems import network_of
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.job import arrays_of, build, earlier_of, facts_of
from canthus.train.landmarks.pool import Pool, load_pool
from canthus.train.landmarks.system import join
from canthus.train.recipe import Recipe
from toy_run import write_card


@pytest.fixture(scope="module")
def pool(drawn: Path, tiny: Recipe) -> Pool:
    return load_pool(tiny, drawn, 1.3)


def test_two_networks_of_one_stage_are_refused(tiny: Recipe) -> None:
    with pytest.raises(InputError, match="two checkpoints are of the same stage; give one, or --average"):
        join([build(tiny, "68", {}), build(tiny, "68", {})])


def test_the_mean_shape_is_kept_where_crops_are_aligned_to_it(tiny: Recipe, pool: Pool) -> None:
    assert arrays_of(tiny, pool) == {}
    arrays = arrays_of(tiny.model_copy(update={"crop": "shape"}), pool)
    assert arrays.keys() == {"mean"}
    np.testing.assert_allclose(arrays["mean"], unit_mean(pool.points), atol=1e-4)


def test_arrays_of_a_network(tiny: Recipe, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are made of the labels, and its own mean shape is not replaced."""
    for own in ("basis", "mean"):
        network = replace(
            network_of("compact"), arrays=lambda labels, config, own=own: {own: labels.points[: config.points - 66]}
        )
        monkeypatch.setattr("canthus.train.landmarks.job.network_of", lambda stem, stage, network=network: network)
        arrays = arrays_of(tiny.model_copy(update={"crop": "shape"}), pool)
        assert arrays.keys() == {own, "mean"}
        np.testing.assert_array_equal(arrays[own], pool.points[:2])


def test_facts_are_shares_of_the_faces_as_they_are_drawn(tiny: Recipe, pool: Pool) -> None:
    pose = np.full((8, 3), np.nan, np.float32)
    pose[:5, 0] = [0, -20, 31, -61, 90]
    visible = np.full((8, 68), np.nan, np.float32)
    visible[2:4] = 1
    visible[3, 5] = 0
    chance = np.array([0.3, 0.1, 0.1, 0.2, 0.05, 0.05, 0.1, 0.1])
    recipe = tiny.model_copy(update={"augment": tiny.augment.model_copy(update={"rotation": 12})})
    facts = facts_of(replace(pool, pose=pose, visible=visible, chance=chance), recipe)
    assert facts == pytest.approx(
        {
            "count": 8,
            "yaw known": 0.75,
            "yaw over 30": 0.35,
            "yaw over 60": 0.25,
            "hidden points labelled": 0.2,
            "rotation, degrees": 36,
        }
    )
    even = recipe.model_copy(update={"augment": recipe.augment.model_copy(update={"rotation_law": "uniform"})})
    assert facts_of(pool, even)["rotation, degrees"] == 12


def test_earlier_stages(tiny: Recipe, pool: Pool, tmp_path: Path) -> None:
    """The system of their checkpoints, with the averaged weights; none without checkpoints."""
    assert earlier_of([]) is None
    trained = build(tiny, "68", {})
    state = {f"net.{name}": value for name, value in trained.net.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "best.ckpt")
    write_card(tmp_path, tiny, [1.0])
    earlier = earlier_of([tmp_path / "best.ckpt"])
    assert earlier is not None and [stage.name for stage in earlier.stages] == ["landmarks"]
    assert (earlier.name, earlier.scheme) == ("compact", "68")
    found = earlier.align([pool.images[0]], [np.float32([[10, 10, 50, 50]])])[0]
    assert found.points.shape == (1, Scheme.open("68").count, 2)
    with pytest.raises(InputError, match=r"none\.ckpt does not exist"):
        earlier_of([tmp_path / "best.ckpt", tmp_path / "none.ckpt"])


def test_earlier_stages_of_one_system_alone(tiny: Recipe, tmp_path: Path) -> None:
    other = tiny.model_copy(update={"network": "cascaded_cnn", "preset": "ablation", "config": {"depth": 1}})
    for recipe in (tiny, other):
        folder = tmp_path / recipe.network
        folder.mkdir()
        state = {f"net.{name}": value for name, value in build(recipe, "68", {}).net.state_dict().items()}
        torch.save({"state_dict": state}, folder / "best.ckpt")
        write_card(folder, recipe, [1.0])
    paths = [tmp_path / name / "best.ckpt" for name in ("compact", "cascaded_cnn")]
    with pytest.raises(InputError, match="belong to different systems: cascaded_cnn, compact"):
        earlier_of(paths)
