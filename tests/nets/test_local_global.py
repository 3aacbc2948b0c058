from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.errors import ShapeError
from canthus.export.onnx import part_to_onnx
from canthus.nets.attention import Attention, Plain, Transform
from canthus.nets.local_global import (
    PRESETS,
    Baseline,
    Deployed,
    LocalGlobal,
    LocalGlobalConfig,
    Prediction,
    Regressor,
    build,
    parts,
)
from canthus.nets.resnet import ResNet18
from canthus.runtime.session import Session

TINY = LocalGlobalConfig(
    points=7, size=32, stem=(8, 8), width=8, scales=2, stages=2, regressor=(8, 8), convolutions=1, hidden=16
)
VARIANTS: dict[str, LocalGlobalConfig] = {
    "paper": TINY,
    "original hourglass": replace(
        TINY, upsampling="nearest", activation="post", after="convolution", maps="l2", head="plain", finetune=False
    ),
    "transform": replace(TINY, head="transform"),
    "local": replace(TINY, head="local", dropout=0.1),
    "compact": replace(TINY, base="trunk", residual_points=True, shrink=2, regressor=(8,)),
    "wide": replace(TINY, base="wide"),
    "resnet18": replace(TINY, kind="resnet18", width=4),
}


def build_tiny(name: str) -> Any:
    torch.manual_seed(0)
    return build(VARIANTS[name])


def objective(prediction: Prediction, config: LocalGlobalConfig) -> Tensor:
    """Maps towards a bump, points and spread towards a place."""
    side = config.size // 4
    cells = torch.arange(side)
    bump = torch.exp(-(((cells - 3) ** 2)[:, None] + (cells - 5) ** 2) / 4)
    losses = [functional.mse_loss(maps.sigmoid(), bump.expand_as(maps)) for maps in prediction.heatmaps]
    losses.append((prediction.points / config.size - 0.4).square().mean())
    losses.append(prediction.log_spread.exp().mean())
    return torch.stack(losses).sum()


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("count", [1, 7])
def test_shapes(name: str, count: int) -> None:
    config, net = VARIANTS[name], build_tiny(name).eval()
    found = net(torch.rand(count, 3, 32, 32) - 0.5)
    stages = 0 if config.kind == "resnet18" else 2
    assert [tuple(maps.shape) for maps in found.heatmaps] == [(count, 7, 8, 8)] * stages
    assert found.points.shape == found.local.shape == (count, 7, 2)
    assert found.log_spread.shape == (count, 7)
    assert all(part.isfinite().all() for part in (found.points, found.local, found.log_spread))


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_reach_every_parameter(name: str) -> None:
    """In the second step: what lies before something that starts at zero learns from then on."""
    net = build_tiny(name).train()
    descent = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        descent.zero_grad()
        objective(net(torch.rand(4, 3, 32, 32) - 0.5), net.config).backward()
        descent.step()
    idle = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


@pytest.mark.parametrize("name", ["paper", "original hourglass", "transform", "compact", "resnet18"])
def test_onnx_runtime_says_what_torch_says(name: str) -> None:
    net = build_tiny(name).train()
    for _ in range(3):  # norms with statistics, layers off their zeros
        objective(net(torch.rand(4, 3, 32, 32) - 0.5), net.config).backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.05 * p.grad
    deployed = parts(net.eval(), 0.1)
    example = {"crops": np.zeros((2, 32, 32, 3), np.uint8)}
    session = Session(part_to_onnx(deployed[0], example, ({0: torch.export.Dim("faces")},)))
    for count in (1, 3):
        crops = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), np.uint8)
        out = session.run(crops)
        with torch.no_grad():
            expected = deployed[0].module(torch.from_numpy(crops))
        for key, value in zip(("local", "points", "scores"), expected, strict=True):
            np.testing.assert_allclose(out[key], value.numpy(), atol=4e-3)  # pixels; sharpened maps cost about .002


def test_local_points_are_centroids_of_sharpened_heights() -> None:
    """Against the sums written out, for both kinds of maps."""
    ys, xs = np.mgrid[:8, :8] * 4 + 1.5
    for name in ("paper", "original hourglass"):
        net = build_tiny(name).eval()
        with torch.no_grad():
            found = net(torch.rand(2, 3, 32, 32) - 0.5)
        maps = found.heatmaps[-1].double().numpy()
        heights = 1 / (1 + np.exp(-maps)) if name == "paper" else np.maximum(maps, 0.01)
        weights = heights**TINY.sharpen
        weights /= weights.sum((2, 3), keepdims=True)
        expected = np.stack([(weights * xs).sum((2, 3)), (weights * ys).sum((2, 3))], -1)
        np.testing.assert_allclose(found.local.numpy(), expected, atol=1e-3)


def test_without_the_regressor_the_heatmaps_points_are_final() -> None:
    found = build_tiny("original hourglass").eval()(torch.rand(2, 3, 32, 32) - 0.5)
    assert torch.equal(found.local, found.points)


def test_a_residual_regressor_starts_as_the_identity() -> None:
    found = build_tiny("compact").eval()(torch.rand(2, 3, 32, 32) - 0.5)
    assert torch.equal(found.local, found.points)


def test_the_regressor_sees_heatmaps_of_all_stages_and_the_picture() -> None:
    """Its gradient reaches each stage's maps (trained end to end) and the picture directly."""
    torch.manual_seed(0)
    regressor = Regressor(TINY)
    crops = torch.rand(2, 3, 32, 32, requires_grad=True)
    heights = [torch.rand(2, 7, 8, 8, requires_grad=True) for _ in range(2)]
    regressor(crops, heights, torch.zeros(2, 7, 2)).square().sum().backward()
    for part in (crops, *heights):
        assert part.grad is not None and part.grad.abs().sum() > 0


def test_the_regressor_refuses_another_size() -> None:
    with pytest.raises(ShapeError, match=r"32 pixels, not 64.*config\.size"):
        build_tiny("paper")(torch.zeros(1, 3, 64, 64))


def test_a_net_without_regressor_takes_other_sizes() -> None:
    found = build_tiny("original hourglass").eval()(torch.zeros(1, 3, 64, 64))
    assert found.heatmaps[0].shape == (1, 7, 16, 16)


def test_attention_is_equations_1_to_4() -> None:
    """Features weighed for all, then for each point, then projected: with every h_i in memory."""
    torch.manual_seed(0)
    x = torch.randn(2, 6, 4, 4)
    for globally in (False, True):
        head = Attention(6, 3, -4.0, globally)
        h = head.whole(x).sigmoid() * x if head.whole is not None else x  # eq. 3
        each = head.own(h).sigmoid()[:, :, None] * h[:, None]  # eq. 4: (2, 3, 6, 4, 4)
        expected = (each * head.project.weight[None, :, :, :, :]).sum(2) - 4
        assert torch.allclose(head(x), expected, atol=1e-5)


def test_transform_moves_the_neighbours_maps() -> None:
    """A shift by one cell to the right of the maps before, and none of those after."""
    head = Transform(5, 3, 0.0)
    with torch.no_grad():
        head.affine[0, :, 0, 2] = -2 / 6  # looks one of six cells to the left
        head.share[1] = 0
        x = torch.randn(2, 5, 6, 6)
        maps = head.plain(x)
        before = maps.roll(1, 1)
        moved = torch.cat([before[..., :1], before[..., :-1]], -1)
        assert torch.allclose(head(x), maps + 0.1 * moved, atol=1e-5)


def test_plain_is_a_convolution() -> None:
    head = Plain(5, 3, -4.0)
    x = torch.randn(1, 5, 2, 2)
    expected = torch.einsum("oi,nihw->nohw", head.weight[:, :, 0, 0], x) - 4
    assert torch.allclose(head(x), expected, atol=1e-6)


def test_deployed_takes_pictures() -> None:
    net = build_tiny("paper").eval()
    crops = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    local, points, scores = Deployed(net)(crops)
    found = net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
    assert torch.equal(local, found.local) and torch.equal(points, found.points)
    assert ((scores > 0) & (scores < 1)).all()


def counted(net: nn.Module, size: int) -> tuple[int, int]:
    """Parameters and multiply-adds, the latter summed by forward hooks."""
    total = 0

    def add(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.ConvTranspose2d):
            total += given[0][0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Conv2d):
            total += result[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()

    with torch.device("meta"):
        crops = torch.zeros(1, 3, size, size)
    for module in net.modules():
        module.register_forward_hook(add)
    net.eval()(crops)
    return sum(p.numel() for p in net.parameters()), total


def test_the_full_size_by_hand() -> None:
    """Sections 3.1 to 3.3, written out: 256 in, 64x64 maps, four hourglasses 256 wide, module 4, regressor."""
    points, w = 68, 256

    def residual(inside: int, outside: int) -> tuple[int, int]:
        """Weights of the convolutions of a pre-activation bottleneck, and of its norms (two each channel)."""
        neck = outside // 2
        convolutions = inside * neck + 9 * neck * neck + neck * outside + (inside * outside if inside != outside else 0)
        return convolutions, 2 * (inside + neck + neck)

    block, block_norms = residual(w, w)
    assert (block, block_norms) == (212_992, 1_024)
    # pre-processing: 3x3 stride 2 to 64 channels at 128x128, residual to 128, pooling, two residuals at 64x64
    first, (r1, n1), (r2, n2), (r3, n3) = 27 * 64, residual(64, 128), residual(128, 128), residual(128, 256)
    parameters = first + 2 * 64 + r1 + n1 + r2 + n2 + r3 + n3
    adds = 128**2 * (first + r1) + 64**2 * (r2 + r3)
    # an hourglass of four scales: one block at 64x64; three at 32, 16, 8 and 4; a deconvolution a scale,
    # each of whose output pixels sees one input pixel: 256 x 256 multiply-adds
    places = 64**2 + 3 * (32**2 + 16**2 + 8**2 + 4**2)
    parameters += 4 * (13 * (block + block_norms) + 4 * 4 * w * w)
    adds += 4 * (places * block + (64**2 + 32**2 + 16**2 + 8**2) * w * w)
    # after it: residual, 1x1 convolution with norm, attention for all, attention and projection for each point
    head = w + 2 * points * w
    parameters += 4 * (block + block_norms + w * w + 2 * w + (w + 1) + (points * w + points) + points * w + points)
    adds += 4 * 64**2 * (block + w * w + head)
    # what three of the stages hand on: 1x1 convolutions of the features and of the maps
    parameters += 3 * ((w * w + w) + (points * w + w))
    adds += 3 * 64**2 * (w * w + points * w)
    # regressor: two 3x3 convolutions with norms at 64, 32, 16 and 8, then 4x4x512 -> 1024 -> 68 x 2
    inside = 4 * points + 3
    for channels, side in ((64, 64), (128, 32), (256, 16), (512, 8)):
        weights = 9 * (inside * channels + channels * channels)
        parameters += weights + 4 * channels
        adds += side**2 * weights
        inside = channels
    parameters += 4 * 4 * 512 * 1024 + 1024 + 1024 * 2 * points + 2 * points
    adds += 4 * 4 * 512 * 1024 + 1024 * 2 * points
    parameters += 2 * points  # the reliability's power law
    with torch.device("meta"):
        net = LocalGlobal(PRESETS["full"])
    assert counted(net, 256) == (parameters, adds)
    assert parameters == pytest.approx(30.55e6, rel=1e-3) and adds == pytest.approx(18.16e9, rel=1e-3)


def test_resnet18_is_the_papers() -> None:
    """Table 1 of He et al.: 11.18 M parameters without the classifier, 1.8 G multiply-adds at 224 pixels."""
    with torch.device("meta"):
        net = ResNet18()
    parameters, adds = counted(net, 224)
    assert parameters == 11_176_512
    assert adds == pytest.approx(1.81e9, rel=5e-3)


def test_small_sizes() -> None:
    adds = {}
    for name in ("compact", "ablation", "ablation_resnet18"):
        config = PRESETS[name]
        with torch.device("meta"):
            net = build(config)
        adds[name] = counted(net, config.size)[1]
        if isinstance(net, LocalGlobal) and config.base == "trunk":
            with torch.device("meta"):
                adds[name] -= counted(net.trunk, config.size)[1]
    assert adds["compact"] < 61e6
    assert adds["ablation"] < 20e6
    assert adds["ablation_resnet18"] < adds["ablation"]


def test_build_gives_the_baseline() -> None:
    assert isinstance(build(VARIANTS["resnet18"]), Baseline)
