"""multi_view beside its paper: v_n, the union of views, the blocks' counts, depth and view."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.align.stage import Stage
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.geometry.crop import Crop
from canthus.nets.blocks import Bottleneck, Inception
from canthus.nets.losses import Target, map_loss, target_of
from canthus.nets.multi_view import NETWORKS, Deployed, MultiView, MultiViewLosses, depth_loss, loss, parts, view_loss
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import VIEWS, union_slots
from canthus.train.landmarks.job import build
from canthus.train.landmarks.loader import Stream
from canthus.train.landmarks.pool import frames_of, load_pool, real_points
from canthus.train.landmarks.system import join
from canthus.train.recipe import Recipe, check_recipe

SIZE = 32
SMALL: dict[str, Any] = {"size": SIZE, "stem": (8, 16), "width": 16, "scales": 2, "hidden": 8}
PLANE = replace(NETWORKS["plane"].presets["ablation"], **SMALL)
SOLID = replace(NETWORKS["solid"].presets["ablation"], **SMALL, points=84)


def target_at(points: Tensor, view: int = 0, **known: Tensor) -> Target:
    """The truth of crops of 32 pixels; NaN = not known."""
    count, per_face = points.shape[:2]
    batch = {
        "crops": torch.zeros(count, SIZE, SIZE, 3),
        "points": points,
        "depth": torch.full((count, per_face), torch.nan),
        "visible": torch.full((count, per_face), torch.nan),
        "pose": torch.zeros(count, 3),
        "view": torch.full((count,), view),
        "turn": torch.zeros(count),
        "given": points[:, :0],
    }
    return target_of(batch | known)


def in_union(scheme: str, rng: np.random.Generator) -> Tensor:
    """Random points of a view in the slots of the union. Shape (2, 68, 2)."""
    points = torch.full((2, 68, 2), torch.nan)
    slots = list(union_slots(scheme))
    points[:, slots] = torch.from_numpy(rng.uniform(3, 28, (2, len(slots), 2))).float()
    return points


def test_v_n_selects_the_maps(rng: np.random.Generator) -> None:
    """Eq. 2 written out for a left profile: its 39 maps alone have a loss and a gradient."""
    points, slots = in_union("39_left", rng), list(union_slots("39_left"))
    maps = torch.from_numpy(rng.normal(size=(2, 68, 16, 16))).float().requires_grad_()
    target = target_at(points, view=1)
    prediction = MultiView(PLANE).eval()(torch.zeros(2, 3, SIZE, SIZE))._replace(heatmaps=(maps,))
    found = loss(prediction, target, MultiViewLosses(heat=1, heat_form="l2", sigma=1.5))["heat"]
    by_hand = map_loss(maps[:, slots], points[:, slots], torch.ones(2, 39), 2, 1.5)
    torch.testing.assert_close(found, by_hand)
    found.sum().backward()
    assert maps.grad is not None
    reached = maps.grad.abs().sum((0, 2, 3)) > 0
    assert reached.nonzero().flatten().tolist() == sorted(slots)
    other = maps.detach().clone()
    other[:, [slot for slot in range(68) if slot not in slots]] += 7
    again = loss(prediction._replace(heatmaps=(other,)), target, MultiViewLosses(heat=1, heat_form="l2", sigma=1.5))
    torch.testing.assert_close(again["heat"], by_hand)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_mirrored_profile_is_the_other_profile(
    side: str, drawn: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In points, slots and view."""
    other = {"left": "right", "right": "left"}[side]
    own = list(range(39))

    def opened(name: str, root: Path, split: str, **options: str) -> list[Sample]:
        return [replace(s, points=s.points[own], scheme=f"39_{side}") for s in open_set(name, root, split)]

    monkeypatch.setattr("canthus.train.landmarks.pool.open_set", opened)
    still = {"scale": 1.0, "shift": 0.0, "stretch": 1.0}
    share = tiny.sets[0].model_copy(update={"union": True})
    batches = []
    for flip in (0.0, 1.0):
        augment = tiny.augment.model_copy(update={**still, "flip": flip})
        recipe = tiny.model_copy(update={"scheme": "68", "sets": [share], "augment": augment})
        pool = load_pool(recipe, drawn, 1.3)
        frames = np.stack([np.stack([np.array([[0.02, 0, -1.2], [0, 0.02, -1.2]])])] * len(pool.images))
        batches.append(Stream(pool, recipe, frames, 1.3).batch(0))
    plain, flipped = batches
    assert plain["view"].tolist() == [VIEWS.index(f"39_{side}")] * 8
    assert flipped["view"].tolist() == [VIEWS.index(f"39_{other}")] * 8
    seen = plain["points"][:, list(union_slots(f"39_{side}"))].numpy()
    mirrored = Scheme.open(f"39_{side}").mirrored(seen, 32)
    np.testing.assert_allclose(flipped["points"][:, list(union_slots(f"39_{other}"))], mirrored, atol=1e-3)
    assert torch.equal(flipped["crops"], plain["crops"].flip(2))


def test_which_faces_tell_their_view(rng: np.random.Generator) -> None:
    """A profile; a frontal face whose points are all known; not one whose hidden points are not."""
    logits = torch.from_numpy(rng.normal(size=(2, 3))).float()
    assert torch.equal(
        view_loss(logits, target_at(in_union("39_right", rng), view=2)),
        functional.cross_entropy(logits, torch.tensor([2, 2]), reduction="none"),
    )
    frontal = in_union("68", rng)
    frontal[1, 5] = torch.nan
    found = view_loss(logits, target_at(frontal))
    assert found[0] == functional.cross_entropy(logits[:1], torch.tensor([0])) and found[1] == 0


def test_depth_is_measured_less_its_mean(rng: np.random.Generator) -> None:
    """A shift of all depths costs nothing; unknown ones have neither loss nor gradient."""
    points = torch.from_numpy(rng.uniform(3, 28, (2, 84, 2))).float()
    truth = torch.from_numpy(rng.normal(0, 3, (2, 84))).float()
    truth[1, 10:] = torch.nan
    target = target_at(points, depth=truth)
    found = (torch.nan_to_num(truth) + 5).requires_grad_()
    assert depth_loss(found, target, 0.02).max() < 1e-6
    worse = (torch.nan_to_num(truth) + torch.from_numpy(rng.normal(size=(2, 84))).float()).requires_grad_()
    depth_loss(worse, target, 0.02).sum().backward()
    assert worse.grad is not None
    assert (worse.grad[1, 10:] == 0).all() and (worse.grad[1, :10] != 0).all()


def test_the_second_hourglass_sees_the_first_one_only_where_they_are_one_network(rng: np.random.Generator) -> None:
    """Rows of table I: in a stack the 3D points teach the first hourglass; two networks share no gradient."""
    stack = MultiView(replace(SOLID, towards=("plane", "solid"), points=68))
    points = in_union("68", rng)
    found = loss(stack(torch.rand(2, 3, SIZE, SIZE)), target_at(points, given=points), MultiViewLosses())
    assert len(stack(torch.rand(2, 3, SIZE, SIZE)).plane) == 1
    found["heat"].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in stack.stages[0].head.parameters())


def test_the_deployed_networks() -> None:
    """Plane points with probabilities of the views; 3D points whose depths have the mean 0."""
    crops = torch.randint(0, 256, (2, SIZE, SIZE, 3), dtype=torch.uint8)
    (plane,), (solid,) = parts(MultiView(PLANE).eval()), parts(MultiView(SOLID).eval())
    assert (plane.name, plane.outputs) == ("plane", ("points", "scores", "views"))
    points, scores, views = plane.module(crops)
    assert points.shape == (2, 68, 2) and scores.shape == (2, 68)
    torch.testing.assert_close(views.sum(1), torch.ones(2))
    points, _ = solid.module(crops)
    assert points.shape == (2, 84, 3) and points[..., 2].mean(1).abs().max() < 1e-4
    wide = MultiView(replace(SOLID, margin=2.6)).eval()
    wide.load_state_dict(solid.module.net.state_dict())  # type: ignore[union-attr, arg-type]
    torch.testing.assert_close(Deployed(wide)(crops)[0][..., 2] * 2, points[..., 2])  # in box sides


def counted(net: nn.Module, given: Tensor) -> int:
    """Multiply-adds of the convolutions, by forward hooks."""
    total = 0

    def add(module: nn.Module, _: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += result[0].numel() * module.weight[0].numel()

    for module in net.modules():
        module.register_forward_hook(add)
    with torch.no_grad():
        net.eval()(given)
    return total


@pytest.mark.parametrize("width", [16, 24, 64, 256])
def test_an_inception_block_is_no_dearer_than_a_bottleneck(width: int) -> None:
    """By hand: c c/2 + 9 (c/2)^2 + c/2 c against 3 c c/4 + 3 * 9 (c/4)^2 + 3 c/4 c."""
    given, cells, quarter = torch.zeros(1, width, 4, 6), 24, width // 4
    inception, bottleneck = counted(Inception(width, width), given), counted(Bottleneck(width, width), given)
    assert inception == cells * (3 * width * quarter + 27 * quarter**2 + 3 * quarter * width)
    assert bottleneck == cells * (width * width // 2 + 9 * (width // 2) ** 2 + width // 2 * width)
    assert inception < bottleneck
    whole, half = (replace(PLANE, width=width, block=block) for block in ("inception", "bottleneck"))
    crop = torch.zeros(1, 3, SIZE, SIZE)
    assert counted(MultiView(whole), crop) < counted(MultiView(half), crop)


def test_an_inception_block_starts_as_its_skip_and_has_three_branches(rng: np.random.Generator) -> None:
    block, x = Inception(8, 12).eval(), torch.from_numpy(rng.normal(size=(64, 8, 9, 9))).float()
    torch.testing.assert_close(block(x), block.skip(x))
    nn.init.normal_(block.project[2].weight)  # type: ignore[arg-type]
    reach = []
    for branch in range(3):
        for part in range(3):
            weight = block.project[2].weight.data  # type: ignore[union-attr]
            weight[:, 3 * part : 3 * part + 3] = float(part == branch)  # type: ignore[index]
        spot = x.clone().requires_grad_()
        (block(spot) - block.skip(spot))[:, :, 4, 4].sum().backward()
        assert spot.grad is not None
        rows = spot.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        reach.append(int(rows.max() - rows.min()) + 1)
    assert reach == [1, 3, 5]


def test_the_solid_network_needs_the_points_that_it_starts_from(drawn: Path, tiny: Recipe) -> None:
    """In scheme 68 these are its own; the loader gives them beside the labels."""
    tree = tiny.model_dump(mode="json") | {"network": "multi_view", "stage": "solid", "config": {}}
    recipe = check_recipe(tree | {"preset": "ablation", "config": {"size": 32}}, "test")
    pool = load_pool(recipe, drawn, 1.3)

    stage = Stage("solid", Crop(32, 1.3), lambda view, estimate: pytest.fail("not run"))
    batch = Stream(pool, recipe, frames_of(pool, stage, pool.given), 1.3).batch(0)
    torch.testing.assert_close(batch["given"], batch["points"])


def test_no_gradient_passes_the_second_crop(drawn: Path, tiny: Recipe) -> None:
    """Crops follow the points of the plane network, and the loss of the second network does not reach its weights."""
    tree = tiny.model_dump(mode="json") | {"network": "multi_view", "preset": "ablation", "config": {"size": 32}}
    plane = build(check_recipe(tree | {"stage": "plane"}, "plane"), "68", {})
    recipe = check_recipe(tree | {"stage": "solid", "real": 1.0}, "solid")
    pool, stage = load_pool(recipe, drawn, 1.3), Stage("solid", Crop(32, 1.3), lambda view, estimate: view)

    def crops() -> Tensor:
        real = frames_of(pool, stage, real_points(pool, join([plane])))
        batch: Tensor = Stream(pool, recipe, frames_of(pool, stage, pool.given), 1.3, real=real).batch(0)["crops"]
        return batch

    first = crops()
    solid = build(recipe, "68", {}).net
    solid(first.permute(0, 3, 1, 2).float() / 255 - 0.5).points.sum().backward()
    assert any(weight.grad is not None for weight in solid.parameters())
    assert all(weight.requires_grad and weight.grad is None for weight in plane.net.parameters())
    with torch.no_grad():
        for weight in plane.net.parameters():
            weight.add_(torch.randn_like(weight))
    assert not torch.equal(crops(), first)
