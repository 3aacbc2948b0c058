"""The network against its paper's tables, and what the choices in docs/systems/cascaded_cnn.md promise."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.ndimage import center_of_mass
from torch import nn

from canthus.align.stage import Parts
from canthus.align.systems import system_of
from canthus.errors import RecipeError
from canthus.nets.cascaded_cnn import PRESETS, CascadedCnn, CascadedCnnConfig, parts
from canthus.nets.compact import Compact, CompactConfig
from canthus.nets.losses import gaussians
from canthus.nets.units import Highest, Strided, wide
from canthus.runtime.session import Session
from counted import multiply_adds
from whole import whole_view

TINY = CascadedCnnConfig(
    points=5,
    size=64,
    depth=2,
    early=(4, 4, 4, 8, 8, 8),
    late=(8, 8, 8, 8),
    features=(6, 5),
    heatmap=(4, 4, 8),
    regression=(4, 4, 8, 8, 8),
)
TRUNK = replace(TINY, base="trunk", maps="softmax", additive=True, factored=True)
CONFIGS = {"paper": TINY, "factored": replace(TINY, factored=True), "trunk": TRUNK}
MAPS = replace(TINY, early=(4, 8, 8, 8), pools=(1,), read="quarter", refined=False, base_points=True)
STAGED = {
    "maps alone": MAPS,
    "with regression units": replace(MAPS, refined=True),
    "wide": replace(MAPS, base="wide", maps="softmax", additive=True),
    "wide and plain": replace(
        TINY, base="wide", regression_base="plain", pools=(1, 2), base_points=True, maps="softmax", additive=True
    ),
    "base alone": replace(MAPS, depth=0, read="argmax", maps="softmax"),
}


def build(config: CascadedCnnConfig) -> CascadedCnn:
    torch.manual_seed(0)
    return CascadedCnn(config)


# rows of tables 2 to 4: cells of the output, side of the filter, channels in, channels out
EARLY = [
    (256 * 256, 3, 3, 64),  # A1
    (256 * 256, 3, 64, 64),  # A2
    (128 * 128, 3, 64, 64),  # A3
    (128 * 128, 3, 64, 128),  # A4
    (64 * 64, 3, 128, 128),  # A5
    (64 * 64, 3, 128, 128),  # A6
]
LATE = [
    (64 * 64, 9, 68, 128),  # A8 on F2
    (64 * 64, 9, 128, 128),  # A9
    (64 * 64, 1, 128, 256),  # A10
    (64 * 64, 1, 256, 256),  # A11
    (64 * 64, 1, 256, 68),  # A12
]
HEATMAP = [
    (64 * 64, 7, 136, 64),  # B1 on F2 + H_{k-1} = 68 + 68
    (64 * 64, 13, 64, 64),  # B2
    (64 * 64, 1, 64, 128),  # B3
    (64 * 64, 1, 128, 68),  # B4
]
REGRESSION = [
    (32 * 32, 7, 332, 64),  # C1 on F1 + F2 + H_k + H_0 = 128 + 68 + 68 + 68
    (16 * 16, 5, 64, 128),  # C2
    (8 * 8, 3, 128, 256),  # C3
    (4 * 4, 3, 512, 512),  # C4 on E_k + E_{k-1}
    (2 * 2, 3, 512, 1024),  # C5
    (1 * 1, 2, 1024, 136),  # C6
]
TABLES = {
    "regression_base": [*EARLY, (64 * 64, 1, 128, 128)],
    "heatmap_base": [*EARLY, (64 * 64, 1, 128, 68)],
    "maps": LATE,
    "heatmap_units": HEATMAP * 4,
    "regression_units": REGRESSION * 4,
}


def test_the_full_size_costs_what_the_tables_say() -> None:
    """Multiply-adds by forward hooks; parameters: filters, two numbers a channel for a norm, a bias for an output."""
    with torch.device("meta"):
        net = CascadedCnn(PRESETS["full"])
    by_hand = {name: sum(n * k * k * a * b for n, k, a, b in rows) for name, rows in TABLES.items()}
    assert multiply_adds(net, 256) == by_hand
    assert sum(by_hand.values()) == 43_382_865_920

    filters = sum(k * k * a * b for rows in TABLES.values() for _, k, a, b in rows)
    outputs = 68 + 4 * 68 + 4 * 136  # A12, B4, C6
    norms = sum(2 * b for rows in TABLES.values() for _, _, _, b in rows) - 2 * outputs
    spread = 2 * 68
    assert sum(p.numel() for p in net.parameters()) == filters + norms + outputs + spread == 44_329_988


def test_the_compact_size_stays_within_its_budget() -> None:
    """At most 100 M multiply-adds beyond the two trunks."""
    with torch.device("meta"):
        net, default = CascadedCnn(PRESETS["compact"]), Compact(CompactConfig())
    trunk = multiply_adds(default, 96)["trunk"]
    assert sum(multiply_adds(net, 96).values()) - 2 * trunk < 100e6


def test_a_plain_base_beside_a_trunk() -> None:
    """It is cheap, and its maps have the size of those of the trunk."""
    with torch.device("meta"):
        net = CascadedCnn(PRESETS["wide"])
    adds = multiply_adds(net, 128)
    assert adds["regression_base"] < 0.25 * adds["heatmap_base"]
    with pytest.raises(RecipeError, match="a trunk has stride 4"):
        replace(PRESETS["wide"], pools=(1,))


@pytest.mark.parametrize(("length", "kernel", "total"), [(64, 7, 5), (32, 5, 3), (16, 3, 1), (8, 3, 1), (4, 3, 1)])
def test_strides_halve_with_the_pads_of_table_4(length: int, kernel: int, total: int) -> None:
    layer = Strided(1, 1, (kernel, kernel), (2, 2)).eval()
    x = torch.randn(1, 1, length, length)
    before, after = total // 2, total - total // 2
    with torch.no_grad():
        by_hand = layer[1](nn.functional.conv2d(nn.functional.pad(x, (before, after) * 2), layer[0].weight, stride=2))
        assert layer(x).shape[-1] == length // 2
        torch.testing.assert_close(layer(x), by_hand)


def test_highest_of_four_cells() -> None:
    x = torch.randn(1, 1, 4, 4) - 5  # what is beyond the border never wins
    wanted = [[x[0, 0, max(i - 1, 0) : i + 1, max(j - 1, 0) : j + 1].max() for j in range(4)] for i in range(4)]
    assert_allclose(Highest()(x)[0, 0], np.array(wanted))


@pytest.mark.parametrize("kernel", [7, 9, 13])
def test_factored_filters_reach_as_far(kernel: int) -> None:
    far = {}
    for factored in (False, True):
        torch.manual_seed(1)
        layer = wide(2, 3, kernel, factored).eval()
        for norm in layer.modules():
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.constant_(norm.bias, 10.0)  # no ReLU is shut
        x = torch.randn(1, 2, 31, 31, requires_grad=True)
        layer(x)[..., 15, 15].sum().backward()
        seen = x.grad.abs().sum((0, 1)) > 0  # type: ignore[union-attr]
        far[factored] = [seen.any(1).nonzero().ravel().tolist(), seen.any(0).nonzero().ravel().tolist()]
    reach = list(range(15 - kernel // 2, 16 + kernel // 2))
    assert far[False] == far[True] == [reach, reach]


def test_bases_and_units_share_no_weights() -> None:
    net = build(TINY)
    assert sum(p.numel() for p in net.parameters()) == sum(
        sum(p.numel() for p in module.parameters())
        for module in (
            net.regression_base,
            net.heatmap_base,
            net.maps,
            *net.heatmap_units,
            *net.regression_units,
            net.spread,
        )
    )
    assert not torch.equal(net.heatmap_units[0].out.weight, net.heatmap_units[1].out.weight)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_a_prediction_holds(name: str) -> None:
    config = CONFIGS[name]
    net = build(config).eval()
    for count, size in ((0, 64), (1, 64), (7, 96)):
        with torch.no_grad():
            found = net(torch.zeros(count, 3, size, size))
        assert [maps.shape for maps in found.heatmaps] == [(count, 5, size // 4, size // 4)] * 3
        assert [points.shape for points in (*found.decoded, *found.points_by_depth)] == [(count, 5, 2)] * 4
        assert torch.equal(found.points, found.points_by_depth[-1])
        assert found.log_spread.shape == (count, 5)


def test_a_gaussian_is_read_where_it_lies() -> None:
    """Raised to gamma and taken by its centroid; against the centre of mass of the map that scipy finds."""
    net, truth = build(TINY), torch.tensor([[[30.0, 21.5], [33.3, 40.1], [12.0, 50.0], [47.7, 13.2], [31.5, 31.5]]])
    maps = gaussians(truth, (16, 16), 4, 1.3)
    place = net.logits(maps).flatten(2).softmax(-1).view_as(maps)
    for found, raised, point in zip(place[0].numpy(), (maps**4)[0].numpy(), truth[0].numpy(), strict=True):
        assert_allclose(center_of_mass(found), center_of_mass(raised), atol=0.01)
        assert_allclose(np.array(center_of_mass(found))[::-1] * 4 + 1.5, point, atol=0.1)


def test_units_read_both_kinds_of_maps_as_heights() -> None:
    maps = gaussians(torch.tensor([[[29.5, 21.5]]]), (16, 16), 4, 1.3)
    assert torch.equal(build(TINY).heights(maps - 0.2), (maps - 0.2).clamp(min=0))
    torch.testing.assert_close(build(TRUNK).heights(torch.log(maps) + 3), maps)


def test_each_cascade_learns_from_its_own_loss() -> None:
    """Section 3.1: the points train the base of F1 and the regression units, the heatmaps all the others."""
    net = build(TINY).train()
    crops = torch.randn(4, 3, 64, 64)

    def reached() -> set[str]:
        names = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None and p.grad.abs().sum()}
        net.zero_grad()
        return names

    sum(points.square().sum() for points in net(crops).points_by_depth).backward()
    assert reached() == {"regression_base", "regression_units"}
    found = net(crops)
    sum(maps.square().sum() for maps in found.heatmaps[1:]).backward()
    assert reached() == {"heatmap_base", "heatmap_units", "maps"}


def test_a_cascade_needs_a_stage() -> None:
    with pytest.raises(RecipeError, match="set base_points"):
        replace(TINY, depth=0)


def test_points_of_maps_alone_train_the_maps() -> None:
    """Where there are no regression units, the loss of points reaches the maps if the mean position is read."""
    for reading, reached in (("expectation", True), ("argmax", False)):
        net = build(replace(MAPS, read=reading)).train()
        found = net(torch.randn(2, 3, 64, 64))
        assert [points.requires_grad for points in found.points_by_depth] == [reached] * 3
        assert found.decoded == found.points_by_depth


@pytest.mark.parametrize("name", CONFIGS)
def test_a_unit_sees_only_what_comes_before_it(name: str) -> None:
    """A second unit that is changed leaves depth 1 as it was, and moves depth 2."""
    net = build(CONFIGS[name]).eval()
    crops = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = net(crops)
        for out in (net.heatmap_units[1].out, net.regression_units[1].out):
            out.weight.normal_(0, 0.5)
        after = net(crops)
    assert torch.equal(before.points_by_depth[0], after.points_by_depth[0])
    assert torch.equal(before.heatmaps[1], after.heatmaps[1])
    assert not torch.allclose(before.points_by_depth[1], after.points_by_depth[1])


def test_a_new_cascade_gives_what_the_default_network_gives() -> None:
    """Compact size: it starts from the trunk and the head of the default network, and its units change nothing yet."""
    torch.manual_seed(3)
    default, net = Compact(CompactConfig(points=5)).eval(), build(replace(TRUNK, size=96)).eval()
    nn.init.normal_(default.maps[1].weight, 0, 20)  # maps with peaks
    for base in (net.regression_base, net.heatmap_base):
        base.trunk.load_state_dict(default.trunk.state_dict())
    net.maps.load_state_dict(default.maps.state_dict())
    crops = torch.rand(3, 3, 96, 96) - 0.5
    with torch.no_grad():
        wanted, found = default(crops), net(crops)
    assert wanted.points.std() > 0.1
    for points in found.points_by_depth:
        assert torch.equal(points, wanted.points)


class Torch:
    """A part as an engine."""

    def __init__(self, module: nn.Module, outputs: tuple[str, ...]) -> None:
        self.module, self.outputs = module, outputs

    def run(self, *inputs: Any) -> dict[str, Any]:
        with torch.no_grad():
            made = self.module(*(torch.from_numpy(array) for array in inputs))
        return {name: value.numpy() for name, value in zip(self.outputs, made, strict=True)}


@pytest.mark.parametrize("name", CONFIGS | STAGED)
def test_parts_in_turn_are_the_network(name: str) -> None:
    config = (CONFIGS | STAGED)[name]
    net = build(config).eval()
    for unit in (*net.heatmap_units, *net.regression_units):
        nn.init.normal_(unit.out.weight, 0, 0.1)
    crops = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        whole = net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
    networks = {part.name: Torch(part.module, part.outputs) for part in parts(net)}
    view, crop = whole_view(crops.numpy(), net.config.margin)
    stages = dict.fromkeys(part.stage for part in parts(net))
    system = system_of("cascaded_cnn", "68", {name: Parts(crop, networks) for name in stages})
    assert len(stages) == len(whole.points_by_depth) == config.depth + config.base_points
    for depth in range(1, len(stages) + 1):
        assert_allclose(system.prefix(depth).run(view).points, whole.points_by_depth[depth - 1], atol=1e-4)
    scores = system.run(view).scores
    q = net.config.near / net.config.margin * np.exp(-whole.log_spread.numpy())
    assert_allclose(scores, 1 - (1 + q) * np.exp(-q), atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
@pytest.mark.parametrize("name", ["paper", "trunk", "maps alone", "base alone"])
def test_onnx_runtime_gives_what_torch_gives(name: str) -> None:
    """Part by part, with any number of faces."""
    config = replace((CONFIGS | STAGED)[name], depth=0 if name == "base alone" else 1)
    net = build(config).eval()
    for unit in (*net.heatmap_units, *net.regression_units):
        nn.init.normal_(unit.out.weight, 0, 0.1)
    flow = {"crops": np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)}
    faces = torch.export.Dim("faces")
    for part in parts(net):
        given = [flow[name] for name in part.inputs]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                part.module,
                tuple(torch.from_numpy(array[:2]) for array in given),
                dynamo=True,
                external_data=False,
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                dynamic_shapes=tuple({0: faces} for _ in part.inputs),
                verbose=False,
            )
        session = Session(program.model_proto.SerializeToString())
        wanted = Torch(part.module, part.outputs).run(*given)
        for rows in (5, 1):
            found = session.run(*(array[:rows] for array in given))
            for key, array in wanted.items():
                assert_allclose(found[key], array[:rows], atol=2e-3)
        flow.update(wanted)
