"""Agreement of a network with itself on two crops of a face: the moves, the crops, the loss, and training with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from canthus.geometry.crop import box_frames, box_of, warp
from canthus.geometry.transform import apply, invert, scale_of
from canthus.recipes import find
from canthus.train.landmarks.agreement import agreement_loss, seen_moves, small_moves, with_noise
from canthus.train.landmarks.canvas import Canvas
from canthus.train.landmarks.job import build
from canthus.train.landmarks.loader import Stream
from canthus.train.landmarks.pool import load_pool
from canthus.train.landmarks.system import Trained
from canthus.train.landmarks.task import Task
from canthus.train.recipe import Agreement, Recipe
from canthus.train.stages import load_stages

SIZE = 96
UNKNOWN = torch.full((4, 5, 2), torch.nan)


def moves_of(seed: int = 0, count: int = 4, **settings: Any) -> np.ndarray:
    return small_moves(count, SIZE, Agreement(**settings), np.random.default_rng(seed))


def points(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(20, 76, (4, 5, 2)).astype(np.float32))


def moved(some: torch.Tensor, moves: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(apply(moves, some.double().numpy())).float()


def loss(one: torch.Tensor, two: torch.Tensor, moves: np.ndarray, labels: torch.Tensor = UNKNOWN) -> torch.Tensor:
    return agreement_loss(one, two, torch.from_numpy(moves).float(), labels, SIZE, 0.006)


def test_shifts_go_from_under_a_pixel_to_five_per_cent() -> None:
    moves = moves_of(count=4000)
    middle = np.full((4000, 1, 2), (SIZE - 1) / 2)
    far = np.linalg.norm((apply(moves, middle) - middle)[:, 0], axis=1)
    assert 0.0035 * SIZE <= far.min() < 0.4 < 1 < far.max() <= 0.05 * SIZE
    assert 0.3 < (far < 1).mean() < 0.5, "log-uniform"
    assert np.abs(np.log(scale_of(moves))).max() <= np.log(1.03) + 1e-9
    assert 1.9 < np.abs(np.degrees(np.arctan2(moves[:, 1, 0], moves[:, 0, 0]))).max() <= 2 + 1e-9


@given(st.integers(0, 500))
def test_a_network_whose_points_move_with_the_crop_has_no_loss(seed: int) -> None:
    one, moves = points(seed), moves_of(seed)
    assert float(loss(one, moved(one, moves), moves).max()) < 1e-6
    flip = np.array([True, False, True, True])
    mirrored = one.clone()
    mirrored[flip, :, 0] = SIZE - 1 - one[flip][..., 0]
    two = moved(one, moves)
    two[flip, :, 0] = SIZE - 1 - two[flip][..., 0]
    assert float(loss(mirrored, two, seen_moves(moves, flip, SIZE)).max()) < 1e-6


def test_points_that_stay_while_the_crop_moves_have_the_loss_of_the_move() -> None:
    moves = np.tile(np.array([[1.0, 0, 0.2], [0, 1, 0]]), (4, 1, 1))
    found = loss(points(), points(), moves)
    np.testing.assert_allclose(found, 0.5 * (0.2 / (0.006 * SIZE)) ** 2, rtol=1e-4)


def test_full_precision_where_a_network_runs_in_half() -> None:
    one, moves = points(), moves_of()
    with torch.autocast("cpu", torch.bfloat16):
        assert float(loss(one, moved(one, moves), moves).max()) < 1e-6


def test_points_outside_one_of_the_crops_are_left_out() -> None:
    moves = np.tile(np.array([[1.0, 0, 4], [0, 1, 0]]), (4, 1, 1))
    one = points()
    two = moved(one, moves)
    two[0, 0] += 3
    assert [bool(value > 0) for value in loss(one, two, moves)] == [True, False, False, False]
    for label in ([-9.0, 50.0], [93.0, 50.0]):  # outside the first, and after the move outside the second
        labels = UNKNOWN.clone()
        labels[0, 0] = torch.tensor(label)
        assert float(loss(one, two, moves, labels).max()) < 1e-6
    labels[0, 0] = torch.tensor([50.0, 50.0])
    assert float(loss(one, two, moves, labels)[0]) > 0
    out = one.clone()
    out[0, 0, 0] = SIZE  # crops end at SIZE - 0.5
    assert float(loss(out, two, moves).max()) < 1e-6, "by the answer, where there is no label"


def test_both_answers_have_a_gradient_towards_each_other() -> None:
    moves = moves_of()
    one = points().requires_grad_()
    two = (moved(points(), moves) + torch.tensor([0.3, 0.0])).requires_grad_()
    loss(one, two, moves).sum().backward()
    assert one.grad is not None and two.grad is not None
    assert (two.grad[..., 0] > 0).all() and (one.grad[..., 0] < 0).all()


@pytest.mark.parametrize("on_canvas", [False, True])
def test_the_second_crops_show_the_first_ones_moved(tiny: Recipe, drawn: Path, on_canvas: bool) -> None:
    finer = [tiny.phases[0].model_copy(update={"size": 64})]
    flipped = tiny.augment.model_copy(update={"flip": 0.5})
    recipe = tiny.model_copy(update={"agreement": Agreement(least=0.03), "augment": flipped, "phases": finer})
    pool = load_pool(recipe, drawn, 1.3)
    cutter = Canvas(pool.images, torch.device("cpu")) if on_canvas else None
    batch = Stream(pool, recipe, box_frames(box_of(pool.points))[:, None], 1.3, cutter=cutter).batch(3)
    assert batch["twins"].shape == batch["crops"].shape and batch["moves"].shape == (8, 2, 3)
    for crop, twin, move in zip(batch["crops"].numpy(), batch["twins"].numpy(), batch["moves"].numpy(), strict=True):
        exact = move.astype(np.float64)
        known = warp(np.full_like(crop, 255), exact, 64).min(-1) == 255
        after, before, back = (
            np.abs(shown.astype(int) - twin)[known].mean()
            for shown in (warp(crop, exact, 64), crop, warp(crop, invert(exact), 64))
        )
        assert after < 0.3 * before < 0.3 * back


def test_second_crops_look_like_the_first_and_change_nothing_else(tiny: Recipe, drawn: Path) -> None:
    varied = tiny.model_copy(
        update={"augment": tiny.augment.model_copy(update={"light": 1.0, "grey": 0.5, "occlude": 0.5})}
    )
    still = varied.model_copy(update={"agreement": Agreement(least=1e-6, most=1e-6, rotation=0, scale=1, noise=0)})
    pool = load_pool(varied, drawn, 1.3)
    frames = box_frames(box_of(pool.points))[:, None]
    batch = Stream(pool, still, frames, 1.3).batch(0)
    assert float((batch["twins"].float() - batch["crops"].float()).abs().mean()) < 0.5, "same light, same occluder"
    alone = Stream(pool, varied, frames, 1.3).batch(0)
    assert "twins" not in alone and "moves" not in alone


def test_noise_of_the_second_crops() -> None:
    crops = torch.full((4, 32, 32, 3), 128, dtype=torch.uint8)
    noisy = with_noise(crops, 3.0, np.random.default_rng(1))
    assert noisy.dtype == torch.uint8 and abs(float((noisy.float() - 128).std()) - 3) < 0.1
    assert torch.equal(noisy, with_noise(crops, 3.0, np.random.default_rng(1))), "the same for the same seed"
    assert torch.equal(with_noise(crops, 0, np.random.default_rng(1)), crops)
    black = with_noise(torch.zeros_like(crops), 50.0, np.random.default_rng(1))
    assert int(black.max()) < 255 and float((black == 0).float().mean()) > 0.4, "no value wraps around"


def test_the_loss_enters_training_and_falls(tiny: Recipe, drawn: Path) -> None:
    recipe = tiny.model_copy(update={"agreement": Agreement(weight=2.0)})
    torch.manual_seed(0)
    trained: Trained = build(recipe, "68", {})
    pool = load_pool(recipe, drawn, 1.3)
    stream = Stream(pool, recipe, box_frames(box_of(pool.points))[:, None], 1.3)
    task, log = Task(trained, {}), {}
    task.log = lambda name, value, **_: None  # type: ignore[method-assign]
    task.log_dict = lambda values, **_: log.update(values)  # type: ignore[method-assign, assignment]
    optimiser = torch.optim.Adam(trained.net.parameters(), 2e-3)
    seen, batch = [], stream.batch(0)
    for step in range(30):
        optimiser.zero_grad()
        task.training_step(batch, step).backward()
        optimiser.step()
        seen.append(float(log["loss/agreement"]))
    assert np.mean(seen[-5:]) < 0.5 * np.mean(seen[:5])


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValidationError, match=r"least 0.2 is larger than most 0.05"):
        Agreement(least=0.2)


def test_the_recipe_that_steadies_the_default_network(tmp_path: Path) -> None:
    (stage,) = load_stages(find("steady"), tmp_path)
    first = stage.recipe
    assert isinstance(first, Recipe) and first.agreement is not None and first.on_gpu
    assert [str(start.checkpoint) for start in first.start] == ["default"]
