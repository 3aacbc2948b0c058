"""Figures of networks, drawn from their code: modules as boxes, arrows from the graph of gradients.

    python -m canthus.study.figure local_global full out.svg --open Preprocess Stack
    python -m canthus.study.figure local_global full out.svg --part stack.stages.0 --open Stage

A box is a module with its output (channels x height x width, or length) and multiply-adds; the classes named after
`--open` are drawn as the modules inside them. A branch that no gradient reaches (a detached one) is omitted.
"""

import argparse
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import torch
from torch import Tensor, nn

from canthus.errors import InputError
from canthus.nets.systems import SYSTEMS, network_of
from canthus.work.files import replace_whole

WIDTH, HEIGHT, ACROSS, DOWN, LANE = 212, 40, 232, 64, 9
"""Sizes of a box, pitches of columns and rows, and distance between the lanes of long arrows, pixels."""


@dataclass(eq=False)
class Box:
    """A module, an input, or a result.

    Attributes:
        name: Name in the network.
        note: Class, shape of the output, multiply-adds.
        sources: Boxes whose output it takes.
        row: Length of the longest path from the input.
    """

    name: str
    note: str = ""
    sources: list["Box"] = field(default_factory=list)
    row: int = field(init=False)

    def __post_init__(self) -> None:
        self.row = 1 + max((box.row for box in self.sources), default=-1)


def multiply_adds(module: nn.Module, given: Any, result: Any) -> int:
    """Multiply-adds for one sample of a convolution or a linear layer; 0 of anything else."""
    if isinstance(module, nn.ConvTranspose2d):
        return int(given[0][0].numel() * module.weight[0].numel())
    if isinstance(module, nn.Conv2d):
        return int(result[0].numel() * module.weight[0].numel())
    return int(module.weight.numel()) if isinstance(module, nn.Linear) else 0


def trace(net: nn.Module, crops: Tensor, opened: Collection[str] = (), part: str = "") -> list[Box]:
    """Run a network and record which module takes the output of which.

    Args:
        net: A network that takes `crops`.
        crops: Input. Shape (1, 3, S, S).
        opened: Names of classes that are drawn as the modules inside them, beside that of `part`.
        part: Name of the module that is drawn; "" = the whole network.

    Returns:
        Input, modules in the order in which they ran, results.
    """
    root = net.get_submodule(part)
    inputs: list[Any] = []
    hooks: list[Any] = [root.register_forward_pre_hook(lambda module, given: inputs.extend(given))]
    net.eval()(crops)
    hooks.pop().remove()
    tensor = inputs[0].detach().float().requires_grad_()
    start = Box("crops" if not part else "input", _shape(tensor))
    boxes = [start]
    owner: dict[Any, Box] = {}
    costs: dict[str, int] = {}

    def count(name: str) -> Any:
        def hook(module: nn.Module, given: Any, result: Any) -> None:
            costs[name] = costs.get(name, 0) + multiply_adds(module, given, result)

        return hook

    def note(name: str) -> Any:
        def hook(module: nn.Module, given: Any, result: Any) -> None:
            new = [item.grad_fn for item in _tensors(result) if item.grad_fn is not None and item.grad_fn not in owner]
            if new:
                cost = sum(value for inner, value in costs.items() if inner == name or inner.startswith(f"{name}."))
                words = [type(module).__name__, _shape(next(_tensors(result))), _short(cost) if cost else ""]
                box = Box(name, " · ".join(filter(None, words)), _sources(given, tensor, start, owner))
                boxes.append(box)
                owner.update(dict.fromkeys(new, box))

        return hook

    for name, module in _drawn(root, "", {*opened, type(root).__name__}):
        for key, inner in module.named_modules():
            hooks.append(inner.register_forward_hook(count(f"{name}.{key}".rstrip("."))))
        hooks.append(module.register_forward_hook(note(name)))
    results = root(tensor)
    for hook in hooks:
        hook.remove()
    named = results._asdict() if hasattr(results, "_asdict") else {"output": results}
    for name, value in named.items():
        if sources := _sources(value, tensor, start, owner):
            boxes.append(Box(name, _shape(next(_tensors(value))), sources))
    return boxes


def _drawn(module: nn.Module, name: str, opened: Collection[str]) -> Iterator[tuple[str, nn.Module]]:
    """The modules that become boxes. Lists of modules never run themselves and are always opened."""
    for key, child in module.named_children():
        path = f"{name}.{key}".lstrip(".")
        if isinstance(child, nn.ModuleList) or type(child).__name__ in opened:
            yield from _drawn(child, path, opened)
        else:
            yield path, child


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _sources(value: Any, tensor: Tensor, start: Box, owner: Mapping[Any, Box]) -> list[Box]:
    """The boxes that tensors come from, going back through operations outside boxes."""
    found: dict[Box, None] = {}
    waiting: list[Any] = []
    for item in _tensors(value):
        if item is tensor:
            found[start] = None
        waiting.append(item.grad_fn)
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in owner:
            found[owner[node]] = None
        elif getattr(node, "variable", None) is tensor:
            found[start] = None
        else:
            waiting += [before for before, _ in node.next_functions]
    return list(found)


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(length) for length in tensor.shape[1:])


def _short(count: int) -> str:
    return (
        f"{count / 1e9:.2f} G" if count >= 1e9 else f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.1f} k"
    )


def to_svg(boxes: Collection[Box], title: str) -> str:
    """Boxes in rows from input to results; an arrow that passes over rows has a lane on the right."""
    rows: dict[int, list[Box]] = {}
    for box in boxes:
        rows.setdefault(box.row, []).append(box)
    at = {box: (12 + column * ACROSS, 44 + row * DOWN) for row, some in rows.items() for column, box in enumerate(some)}
    right = 12 + max(map(len, rows.values())) * ACROSS
    lanes: dict[Box, int] = {}
    arrows = []
    for box, (x1, y1) in at.items():
        for source in box.sources:
            x0, y0 = at[source]
            if box.row == source.row + 1:
                arrows.append(f"M{x0 + WIDTH / 2} {y0 + HEIGHT} L{x1 + WIDTH / 2} {y1 - 3}")
            else:
                lane = right + LANE * lanes.setdefault(source, len(lanes))
                arrows.append(f"M{x0 + WIDTH - 20} {y0 + HEIGHT} v8 H{lane} V{y1 - 11} H{x1 + WIDTH - 12} V{y1 - 3}")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right + LANE * len(lanes) + 12}" '
        f'height="{56 + DOWN * len(rows)}" font-family="sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 L6 3 L0 6 z" fill="#456"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="24" font-weight="bold">{escape(title)}</text>',
        *(f'<path d="{path}" fill="none" stroke="#456" marker-end="url(#tip)"/>' for path in arrows),
    ]
    for box, (x, y) in at.items():
        lines += [
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="#eef3f8" stroke="#456"/>',
            f'<text x="{x + 8}" y="{y + 16}">{escape(box.name)}</text>',
            f'<text x="{x + 8}" y="{y + 32}" font-size="10" fill="#456">{escape(box.note)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def main() -> None:
    """Draw a preset of a system."""
    parser = argparse.ArgumentParser(
        prog="python -m canthus.study.figure", description="Draw a network from its code, as an SVG file."
    )
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("preset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--open", nargs="*", default=[], metavar="CLASS")
    parser.add_argument("--part", default="", metavar="MODULE")
    given = parser.parse_args()
    network = network_of(given.system)
    if given.preset not in network.presets:
        raise InputError(f"{given.system} has no preset {given.preset!r}; there are {', '.join(network.presets)}")
    config = network.presets[given.preset]
    net = network.build(config)
    boxes = trace(net, torch.zeros(1, 3, config.size, config.size), given.open, given.part)
    parameters = sum(p.numel() for p in net.get_submodule(given.part).parameters())
    title = " ".join(filter(None, [given.system, given.preset, given.part])) + f": {_short(parameters)} parameters"
    with replace_whole(given.out) as temporary:
        temporary.write_text(to_svg(boxes, title))


if __name__ == "__main__":
    main()
