from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss
from torch import Tensor, nn

from canthus.geometry import heatmap
from canthus.nets.decode import highest
from canthus.nets.losses import Target
from canthus.nets.score_guided import (
    PRESETS,
    Deployed,
    Hidden,
    ScoreGuided,
    ScoreGuidedConfig,
    ScoreGuidedLosses,
    discs,
    loss,
    occluded_loss,
    parts,
    score_loss,
    weigh,
)
from canthus.recipes import find
from canthus.train.recipe import Recipe
from canthus.train.stages import load_stages

TINY = ScoreGuidedConfig(points=5, size=32, stem=(8, 8, 8, 16), branch=8, scales=2)
VARIANTS: dict[str, ScoreGuidedConfig] = {
    "paper": TINY,
    "ours": replace(
        PRESETS["ablation"], points=5, size=32, stem=TINY.stem, branch=8, scales=2, occluded="head", decode="maximum"
    ),
    "compact": replace(PRESETS["compact"], points=5, size=32, branch=8),
}


def build_tiny(name: str) -> ScoreGuided:
    torch.manual_seed(0)
    return ScoreGuided(VARIANTS[name])


def target_at(points: Tensor, size: int, visible: Tensor | None = None) -> Target:
    """The truth of faces (N, P, 2) whose points are all in the crop."""
    count, per_face = points.shape[:2]
    unknown, none = torch.full((count, per_face), torch.nan), torch.zeros(count, dtype=torch.int64)
    seen = unknown if visible is None else visible
    pose, given = torch.zeros(count, 3), (torch.zeros(count, 0, 2), torch.zeros(count, 0))
    return Target(points, torch.ones(count, per_face), unknown, seen, pose, none, none, size, *given)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("count", [1, 7])
def test_shapes(name: str, count: int) -> None:
    net = build_tiny(name).eval()
    found = net(torch.rand(count, 3, 32, 32) - 0.5)
    side = 32 // net.config.stride
    assert found.heatmaps.shape == found.scoremaps.shape == (count, 5, side, side)
    assert found.points.shape == (count, 5, 2)
    assert found.weights.shape == found.log_spread.shape == found.hidden.shape == (count, 5)
    assert ((found.weights >= 0) & (found.weights <= 1)).all()


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_highest_cell_is_eq_4(stride: int, rng: np.random.Generator) -> None:
    maps = rng.normal(size=(3, 5, 12, 10)).astype(np.float32)
    expected = heatmap.argmax(maps) * stride + (stride - 1) / 2
    np.testing.assert_array_equal(highest(torch.from_numpy(maps), stride), expected)


@pytest.mark.parametrize(("stride", "window"), [(1, 0), (1, 2), (2, 1)])
def test_a_weight_is_the_mean_of_its_window(stride: int, window: int, rng: np.random.Generator) -> None:
    """Eq. 1, also at the border; between cells it is interpolated between those of the four cells around."""
    maps = rng.random((2, 30, 9, 11)).astype(np.float32)
    cells = rng.uniform(0, [10, 8], (2, 30, 2))
    cells[:, :10] = cells[:, :10].round()
    low = np.floor(np.minimum(cells, [9, 7]))
    part = cells - low
    expected = np.zeros((2, 30))
    for x in (0, 1):
        for y in (0, 1):
            share = np.abs(1 - x - part[..., 0]) * np.abs(1 - y - part[..., 1])
            expected += share * heatmap.window_score(maps, low + np.array([x, y]), window)
    points = torch.from_numpy(cells * stride + (stride - 1) / 2).float()
    np.testing.assert_allclose(weigh(torch.from_numpy(maps), points, stride, window), expected, atol=1e-5)
    whole = heatmap.window_score(maps, cells, window)[:, :10]
    np.testing.assert_allclose(expected[:, :10], whole, atol=1e-6)


def test_discs_are_ones_within_the_radius() -> None:
    """Section 3.2, against a drawn circle; a point beyond the border shows the part of its disc that lies inside."""
    points = torch.tensor([[[6.0, 4.0], [0.0, -1.0]]])
    found = discs(target_at(points, 20), (10, 10), 2, 2.0)[0].numpy()
    for disc, (x, y) in zip(found, ((points[0] - 0.5) / 2).numpy(), strict=True):
        for row in range(10):
            for column in range(10):
                assert disc[row, column] == ((column - x) ** 2 + (row - y) ** 2 <= 4)
    assert found[0].sum() in (12, 13)


def test_eq_3_by_hand(rng: np.random.Generator) -> None:
    """Half sums of squares over the cells of all maps, with weights as in the recipe score_guided_paper."""
    radius, sigma, lam = 3.0, 1.5, 0.7
    truth = torch.from_numpy(rng.uniform(4, 12, (2, 5, 2))).float()
    maps, scores = (torch.from_numpy(rng.normal(size=(2, 5, 16, 16))).float() for _ in range(2))
    net = build_tiny("paper").eval()
    prediction = net(torch.zeros(2, 3, 32, 32))._replace(heatmaps=maps, scoremaps=scores)
    target = target_at(truth, 16)
    losses = ScoreGuidedLosses(
        point=0, heat_form="l2", sigma=sigma, heat=5 * np.pi * sigma**2 / 2, radius=radius,
        score=lam * 5 * np.pi * radius**2 / 2,
    )  # fmt: skip
    found = loss(prediction, target, losses)
    peaks = heatmap.encode(truth.numpy(), (16, 16), sigma)
    near = peaks >= np.exp(-(radius**2) / (2 * sigma**2))
    for face in range(2):
        assert float(found["heat"][face]) == pytest.approx(
            0.5 * float(((maps[face].numpy() - peaks[face]) ** 2).sum()), rel=1e-4
        )
        assert float(found["score"][face]) == pytest.approx(
            lam / 2 * float(((scores[face].numpy() - near[face]) ** 2).sum()), rel=1e-4
        )


def test_the_weights_of_the_recipe_of_the_paper() -> None:
    """The mean over 68 maps and a batch becomes the half sum of eq. 3, with lambda 1."""
    (stage,) = load_stages(find("score_guided_paper"), Path("runs"))
    recipe = stage.recipe
    assert isinstance(recipe, Recipe) and isinstance(recipe.losses, ScoreGuidedLosses)
    count = 68 * recipe.batch / 2
    assert recipe.losses.heat == pytest.approx(count * np.pi * recipe.losses.sigma**2, rel=1e-3)
    assert recipe.losses.score == pytest.approx(count * np.pi * recipe.losses.radius**2, rel=1e-3)


def test_the_loss_of_scores_is_smallest_at_the_truth(rng: np.random.Generator) -> None:
    target = target_at(torch.from_numpy(rng.uniform(4, 28, (2, 5, 2))).float(), 32)
    truth = discs(target, (16, 16), 2, 3.0)
    for form, best in (("l2", truth), ("sigmoid", 40 * truth - 20)):
        losses = ScoreGuidedLosses(score_form=form, radius=3.0)
        assert float(score_loss(best, target, 2, losses).max()) < 1e-3
        assert float(score_loss(best * 0.3, target, 2, losses).min()) > 0.01
        some = target._replace(inside=torch.tensor([[1.0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]))
        wrong = best.clone()
        wrong[0, 1:] += 5
        assert float(score_loss(wrong, some, 2, losses).max()) < 1e-3


def test_flags_alone_teach_what_is_hidden(rng: np.random.Generator) -> None:
    """Against scikit-learn's log loss over the points whose visibility is known."""
    visible = torch.tensor([[1.0, 0.0, torch.nan, 1.0, 0.0], [torch.nan] * 5])
    logits = torch.from_numpy(rng.normal(size=(2, 5))).float().requires_grad_()
    target = target_at(torch.full((2, 5, 2), 8.0), 16, visible)
    found = occluded_loss(logits, target)
    known = [0, 1, 3, 4]
    assert float(found[0].detach()) == pytest.approx(
        log_loss([0, 1, 0, 1], torch.sigmoid(logits)[0, known].detach().numpy()), rel=1e-5
    )
    assert float(found[1].detach()) == 0
    found.sum().backward()
    assert logits.grad is not None and (logits.grad != 0).nonzero()[:, 1].tolist() == known


def test_the_head_sees_the_features_around_each_point() -> None:
    """A feature that is 1 in one quarter of the picture reaches the points whose heat lies there, and no others."""
    head = Hidden(2, 3)
    with torch.no_grad():
        head.inner.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]))
        head.inner.bias.zero_()
        head.outer.weight.copy_(torch.tensor([[2.0, 0], [2.0, 0], [2.0, 3.0]]))
        head.outer.bias.zero_()
    features = torch.zeros(1, 2, 4, 4)
    features[0, 0, :2, :2] = 1
    heat = torch.zeros(1, 3, 8, 8)
    heat[0, 0, 1, 1], heat[0, 1, 6, 6], heat[0, 2, 0, 3], heat[0, 2, 0, 4] = 1, 1, 0.5, 0.5
    found = head(features, heat, torch.tensor([[0.0, 1.0, 0.25]]))
    torch.testing.assert_close(found, torch.tensor([[2.0, 0.0, 2 * 0.5 + 3 * 0.25]]))


def test_without_labels_a_point_is_hidden_as_far_as_it_has_no_weight() -> None:
    net = build_tiny("paper").eval()
    _, _, weights, occluded, *_ = Deployed(net)(torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8))
    torch.testing.assert_close(occluded, 1 - weights, atol=1e-5, rtol=0)


def test_deployed_gives_what_its_part_names() -> None:
    net = build_tiny("ours").eval()
    crops = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    (part,) = parts(net)
    given = dict(zip(part.outputs, part.module(crops), strict=True))
    found = net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
    for name in ("points", "weights", "heatmaps", "scoremaps"):
        assert torch.equal(given[name], getattr(found, name))
    assert ((given["scores"] > 0) & (given["scores"] < 1)).all()


def test_norms_come_before_every_convolution_but_the_first() -> None:
    """Section 3.1: batch norm and ReLU precede each convolution in the order of execution; blocks keep their width."""
    net = ScoreGuided(replace(TINY, stem=(8, 8, 8, 8)))
    order: list[str] = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.ReLU):
            module.register_forward_hook(lambda module, *_: order.append(type(module).__name__))
    net.eval()(torch.zeros(1, 3, 32, 32))
    places = [at for at, name in enumerate(order) if name == "Conv2d"]
    assert places[0] == 0
    assert all(order[at - 2 : at] == ["BatchNorm2d", "ReLU"] for at in places[1:])


def counted(net: nn.Module, size: int) -> tuple[int, int]:
    """Parameters and multiply-adds of convolutions and linear layers, the latter summed by forward hooks."""
    total = 0

    def add(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += result[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += given[0][0].numel() * module.weight.shape[0]

    with torch.device("meta"):
        crops = torch.zeros(1, 3, size, size)
    for module in net.modules():
        module.register_forward_hook(add)
    net.eval()(crops)
    return sum(p.numel() for p in net.parameters()), total


def test_the_full_size_by_hand() -> None:
    """Section 3.1, written out: 128 in, 64x64 features, two branches, 128x128 maps of 68 points."""

    def residual(inside: int, outside: int) -> tuple[int, int]:
        """Weights of the convolutions of a pre-activation bottleneck, and with its norms (two each channel)."""
        neck = outside // 2
        weights = inside * neck + 9 * neck * neck + neck * outside + (inside * outside if inside != outside else 0)
        return weights, weights + 2 * (inside + neck + neck)

    first = 7 * 7 * 3 * 64
    stem = [residual(64, 128), residual(128, 128), residual(128, 256)]
    parameters = first + 64 + sum(every for _, every in stem)
    adds = 64**2 * (first + sum(weights for weights, _ in stem))
    # a branch: an hourglass of four scales (one block at 64x64; three at 32, 16, 8 and 4), two residuals to 128
    # channels at 64x64, at 128x128 a residual and norm, ReLU, 1x1 convolution
    block, down, same = residual(256, 256), residual(256, 128), residual(128, 128)
    parameters += 2 * (13 * block[1] + down[1] + 2 * same[1] + 2 * 128 + 128 * 68)
    adds += 2 * (64**2 + 3 * (32**2 + 16**2 + 8**2 + 4**2)) * block[0]
    adds += 2 * (64**2 * (down[0] + same[0]) + 128**2 * (same[0] + 128 * 68))
    parameters += 3 * 68  # the reliability's power law and what it takes from the weight
    with torch.device("meta"):
        net = ScoreGuided(PRESETS["full"])
    assert counted(net, 128) == (parameters, adds)
    assert parameters == pytest.approx(6.34e6, rel=1e-3) and adds == pytest.approx(8.15e9, rel=1e-3)


def test_small_sizes() -> None:
    for name, most in (("compact", 135e6), ("ablation", 95e6)):
        with torch.device("meta"):
            net = ScoreGuided(PRESETS[name])
        assert 0.9 * most < counted(net, 96)[1] <= most, name


def test_flags_teach_the_head_which_points_are_hidden() -> None:
    """White dots, some of them covered: after a few steps the head finds the covered ones in new faces."""
    torch.manual_seed(0)
    net = ScoreGuided(replace(VARIANTS["compact"], size=64))
    losses = ScoreGuidedLosses(score_form="sigmoid", radius=2, occluded=1)
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)

    def faces(count: int) -> tuple[Tensor, Target]:
        points = torch.tensor([[16.0, 20], [44, 20], [30, 32], [20, 46], [40, 46]]) + 6 * torch.rand(count, 1, 2)
        visible = (torch.rand(count, 5) < 0.6).float()
        dots = discs(target_at(points, 64), (64, 64), 1, 3.0) * visible[..., None, None]
        crops = dots.amax(1, keepdim=True).expand(-1, 3, -1, -1) - 0.5
        return crops + 0.05 * torch.randn_like(crops), target_at(points, 64, visible)

    for _ in range(80):
        crops, target = faces(16)
        total = torch.stack([value.mean() for value in loss(net(crops), target, losses).values()]).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    crops, target = faces(64)
    with torch.no_grad():
        found = net.eval()(crops)
    hidden = torch.sigmoid(found.hidden).numpy()
    assert average_precision_score(target.visible.numpy().ravel() == 0, hidden.ravel()) > 0.9
