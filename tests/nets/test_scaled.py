"""The sizes in proportion to the papers: operations, fields of view and widths of Gaussians, counted by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from canthus.geometry import heatmap
from canthus.nets import local_global
from canthus.nets.cascaded_cnn import PRESETS, CascadedCnn, CascadedCnnConfig
from canthus.nets.local_global import LocalGlobal, LocalGlobalConfig
from counted import multiply_adds

MAPS = CascadedCnnConfig(
    points=5, size=192, depth=2, early=(4, 8, 8, 8), pools=(1,), late=(8, 8, 8, 8), features=(6, 5), heatmap=(4, 4, 8),
    refined=False, base_points=True,
)  # fmt: skip

# cells of the output, side of the filter, channels in, channels out: half the crop of the paper at half the stride, so
# that there are as many cells and filters are as wide in cells, and a quarter of its channels
CASCADE = {
    "heatmap_base": [
        (128 * 128, 3, 3, 16),  # A1, then the one pool
        (64 * 64, 3, 16, 32),  # A2
        (64 * 64, 3, 32, 32),  # A3
        (64 * 64, 3, 32, 32),  # A4
        (64 * 64, 1, 32, 32),  # A7
    ],
    "maps": [
        (64 * 64, 9, 32, 32),
        (64 * 64, 9, 32, 32),
        (64 * 64, 1, 32, 64),
        (64 * 64, 1, 64, 64),
        (64 * 64, 1, 64, 68),
    ],
    "heatmap_units": [(64 * 64, 7, 100, 16), (64 * 64, 13, 16, 16), (64 * 64, 1, 16, 32), (64 * 64, 1, 32, 68)] * 4,
    "regression_units": [
        (32 * 32, 7, 200, 16),  # C1 on F1 + F2 + H_k + H_0 = 32 + 32 + 68 + 68
        (16 * 16, 5, 16, 32),
        (8 * 8, 3, 32, 64),
        (4 * 4, 3, 128, 128),
        (2 * 2, 3, 128, 256),
        (1 * 1, 2, 256, 136),
    ]
    * 4,
}


def test_the_scaled_size_costs_what_is_counted_by_hand() -> None:
    with torch.device("meta"):
        net, far = CascadedCnn(PRESETS["scaled"]), CascadedCnn(replace(PRESETS["scaled"], depth=0, dilation=4))
    by_hand = {name: sum(n * k * k * a * b for n, k, a, b in rows) for name, rows in CASCADE.items()}
    by_hand["regression_base"] = by_hand["heatmap_base"]
    assert multiply_adds(net, 128) == by_hand
    assert multiply_adds(far, 128) == {name: count for name, count in by_hand.items() if "units" not in name}
    assert sum(by_hand.values()) == 3_645_931_520


# the field of a cell in pixels: 3x3 filters widen it by twice the stride, a pool by the stride before it
FIELDS = {
    "full": (256, 1 + 2 + 2 + 1 + 4 + 4 + 2 + 8 + 8 + 32 + 32, 24 + 48),
    "scaled": (128, 1 + 2 + 1 + 4 + 4 + 4 + 16 + 16, 12 + 24),
    "scaled_coarse": (128, 1 + 2 + 2 + 1 + 4 + 4 + 2 + 8 + 8 + 8 + 8, 8 + 24),
}


def test_fields_of_view_in_proportion_to_the_paper() -> None:
    """Figure 11 is read as 37 % after the base, and 66, 94 and 122 % after units 1 to 3."""
    for name, (size, base, unit) in FIELDS.items():
        views = PRESETS[name].views
        assert views == tuple((base + k * unit) / size for k in range(5))
        assert_allclose(views[:4], [0.37, 0.66, 0.94, 1.22], atol=0.1 if name == "scaled_coarse" else 0.006)
    assert replace(PRESETS["scaled"], dilation=4).views[0] > 1
    assert replace(PRESETS["scaled_coarse"], dilation=6).views[0] == 1


@pytest.mark.parametrize("change", [{}, {"dilation": 3}, {"pools": (2, 4), "early": (4, 4, 4, 8, 8, 8)}])
def test_a_cell_sees_as_far_as_its_field_of_view(change: dict[str, Any]) -> None:
    """Gradients of a cell in the middle of the maps of a large crop reach as many pixels as `views` counts."""
    config = replace(MAPS, sides=(3, 3, 3, 5), **change)
    torch.manual_seed(0)
    net, crops = CascadedCnn(config).eval(), torch.randn(1, 3, 192, 192, requires_grad=True)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 10.0)  # no ReLU is shut
    for maps, share in zip(net(crops).heatmaps, config.views, strict=True):
        middle = maps.shape[-1] // 2
        (reached,) = torch.autograd.grad(maps[..., middle, middle].sum(), crops, retain_graph=True)
        seen = (reached.abs().sum((0, 1, 2)) > 0).nonzero().ravel()
        assert 0 <= share * 192 - int(seen.max() - seen.min() + 1) <= config.stride  # a pool passes one of its pixels


def test_local_global_scaled_costs_what_is_counted_by_hand() -> None:
    """64x64 maps of 128 px crops as in the paper; what deconvolutions cost is left out on both sides."""
    points, w = 68, 64

    def residual(inside: int, outside: int) -> int:
        neck = outside // 2
        return inside * neck + 9 * neck * neck + neck * outside + (inside * outside if inside != outside else 0)

    pre = 64**2 * (27 * 16 + residual(16, 32) + residual(32, 32) + residual(32, w))  # stride 2, and no pooling
    places = 64**2 + 3 * (32**2 + 16**2 + 8**2 + 4**2)
    stack = 4 * (places * residual(w, w) + 64**2 * (residual(w, w) + w * w + w + 2 * points * w))
    stack += 3 * 64**2 * (w * w + points * w)
    regressor, inside = 0, 4 * points + 3
    for channels, side in ((16, 64), (32, 32), (64, 16), (128, 8)):
        regressor += side**2 * 9 * (inside * channels + channels * channels)
        inside = channels
    regressor += 4 * 4 * 128 * 256 + 256 * 2 * points
    with torch.device("meta"):
        net = LocalGlobal(local_global.PRESETS["scaled"])
    assert multiply_adds(net, 128) == {"trunk": pre, "stack": stack, "regressor": regressor}
    assert pre + stack + regressor == 1_271_498_752


@pytest.mark.parametrize(("stride", "scales"), [(2, 3), (4, 2)])
@pytest.mark.parametrize("reading", ["argmax", "quarter", "expectation"])
def test_local_points_are_read_as_wanted(stride: Any, scales: int, reading: Any) -> None:
    """Of logits; the highest cell of a map is the same at any sharpness."""
    torch.manual_seed(0)
    config = LocalGlobalConfig(
        points=5, size=32, stride=stride, stem=(8, 8), width=8, scales=scales, stages=1, regressor=(8, 8), hidden=8
    )
    net = LocalGlobal(replace(config, read=reading)).eval()
    with torch.no_grad():
        found = net(torch.rand(2, 3, 32, 32) - 0.5)
    heights = found.heatmaps[-1].sigmoid().numpy()
    decode = heatmap.DECODERS["soft_argmax" if reading == "expectation" else reading]
    wanted = decode(4 * np.log(heights) if reading == "expectation" else heights)
    assert found.heatmaps[-1].shape[-1] == 32 // stride
    assert_allclose(found.local.numpy(), wanted * stride + (stride - 1) / 2, atol=1e-3)
