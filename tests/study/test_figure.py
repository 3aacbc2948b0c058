from typing import NamedTuple
from xml.etree import ElementTree

import torch
from torch import Tensor, nn

from canthus.study.figure import to_svg, trace


class Found(NamedTuple):
    sum: Tensor
    early: Tensor


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x)


class Net(nn.Module):
    """Two convolutions with an addition between that is no module, a detached branch, a skip over everything."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.inner = Inner()
        self.more = nn.ModuleList([nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True))])
        self.aside = nn.Conv2d(4, 4, 1)

    def forward(self, crops: Tensor) -> Found:
        first = self.first(crops)
        x = self.more[0](torch.cat([self.inner(first)[:, :2], first[:, 2:]], 1) * 2)
        self.aside(first.detach())
        return Found(x + first, first)


def edges(opened: tuple[str, ...] = (), part: str = "") -> dict[str, set[str]]:
    boxes = trace(Net(), torch.zeros(1, 3, 8, 8), opened, part)
    return {box.name: {source.name for source in box.sources} for box in boxes if box.name != "aside"}


def test_arrows_are_the_flow_of_data() -> None:
    assert edges() == {
        "crops": set(),
        "first": {"crops"},
        "inner": {"first"},
        "more.0": {"inner", "first"},
        "sum": {"more.0", "first"},
        "early": {"first"},
    }


def test_opened() -> None:
    found = edges(("Inner",))
    assert found["inner.left"] == found["inner.right"] == {"first"}
    assert found["more.0"] == {"inner.left", "inner.right", "first"}


def test_a_part_alone() -> None:
    assert edges(part="inner") == {
        "input": set(),
        "left": {"input"},
        "right": {"input"},
        "output": {"left", "right"},
    }


def test_multiply_adds_stand_in_the_boxes() -> None:
    notes = {box.name: box.note for box in trace(Net(), torch.zeros(1, 3, 8, 8), ("Inner",))}
    assert notes["inner.right"] == f"Conv2d · 4 × 8 × 8 · {9 * 4 * 4 * 64 / 1000:.1f} k"


def test_svg_is_well_formed() -> None:
    boxes = trace(Net(), torch.zeros(1, 3, 8, 8))
    tree = ElementTree.fromstring(to_svg(boxes, "a < b"))
    texts = [item.text for item in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "a < b"
    assert {box.name for box in boxes} <= set(texts)
    paths = [item for item in tree.iter("{http://www.w3.org/2000/svg}path") if item.get("marker-end")]
    assert len(paths) == sum(len(box.sources) for box in boxes)
