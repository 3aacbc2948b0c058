"""The sizes in proportion to the papers: operations, fields of view and widths of Gaussians, counted by hand."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from canthus.nets.cascaded_cnn import PRESETS, CascadedCnn, CascadedCnnConfig
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
        net, far = (CascadedCnn(replace(PRESETS["scaled"], dilation=gap)) for gap in (1, 4))
    by_hand = {name: sum(n * k * k * a * b for n, k, a, b in rows) for name, rows in CASCADE.items()}
    by_hand["regression_base"] = by_hand["heatmap_base"]
    assert multiply_adds(net, 128) == multiply_adds(far, 128) == by_hand
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
