"""Compares the systems: ms per face of every bundle, fp32 and int8, at each depth, and crops per second in training.

Run by `scripts/bench systems`. One thread. All figures come from one run in which the variants take turns, so a busy
machine slows all of them equally; each figure is the lower quartile of the rounds.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from canthus.align.aligner import Aligner
from canthus.nets.losses import Target
from canthus.nets.systems import SYSTEMS, configure, network_of
from canthus.recipes import find
from canthus.runtime.bundle import Bundle
from canthus.train.recipe import Recipe
from canthus.train.stages import load_stages
from runtime import best

MODELS = Path(__file__).parents[1] / "models"


def runtime(rounds: int) -> None:
    """Print ms per face, including the crop."""
    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 3)
    boxes = {count: np.repeat(np.array([[220, 140, 400, 330]], np.float32), count, 0) for count in (1, 32)}
    variants: dict[str, Callable[[], object]] = {}
    rows = []
    for path in [None, *sorted(MODELS.glob("*.canthus"))]:
        card = Bundle.open(path).card
        for precision in card.precisions:
            for depth in range(1, len(Aligner.open(path).system.stages) + 1):
                aligner = Aligner.open(path, precision=precision, depth=depth)
                rows.append((card.name, precision, depth))
                for count in (1, 32):
                    key = f"{card.name} {precision} {depth} {count}"
                    variants[key] = lambda a=aligner, n=count: a.align(image, boxes[n])
    seconds = best(rounds, variants)
    print("| model | precision | depth | ms per face, batch 1 | batch 32 | relative to the default at batch 1 |")
    print("|---|---|---|---|---|---|")
    for name, precision, depth in rows:
        one, many = (seconds[f"{name} {precision} {depth} {count}"] / count * 1e3 for count in (1, 32))
        ratio = one / (seconds[f"default {precision} 1 1"] * 1e3)
        print(f"| {name} | {precision} | {depth} | {one:.2f} | {many:.2f} | {ratio:.1f} x |")


def training_step(stem: str, preset: str, batch: int) -> Callable[[], object]:
    """A function that runs one batch forward and backward in bf16."""
    recipe = load_stages(find("default" if stem == "compact" else stem), Path())[0].recipe
    assert isinstance(recipe, Recipe)
    config = configure(stem, preset, recipe.config if preset == recipe.preset else {}, "68")
    net: Any = network_of(stem).build(config).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    crops = torch.rand(batch, 3, config.size, config.size).to(memory_format=torch.channels_last) - 0.5
    unknown, first = torch.full((batch, 68), torch.nan), torch.zeros(batch, dtype=torch.int64)
    target = Target(
        points=torch.rand(batch, 68, 2) * config.size,
        inside=torch.ones(batch, 68),
        depth=unknown,
        visible=unknown,
        pose=torch.full((batch, 3), torch.nan),
        view=first,
        turn=torch.zeros(batch),
        size=config.size,
        given=torch.zeros(batch, 0, 2),
        given_inside=torch.zeros(batch, 0),
    )
    losses = recipe.losses.model_copy(update={"heat_form": getattr(config, "maps", recipe.losses.heat_form)})

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            parts = network_of(stem).loss(net(crops), target, losses)
        torch.stack([part.mean() for part in parts.values()]).sum().backward()
        net.zero_grad()

    return step


def training(rounds: int, batch: int) -> None:
    """Print crops per second, forward and backward."""
    presets = [
        (stem, preset) for stem in SYSTEMS for preset in ("compact", "ablation") if preset in network_of(stem).presets
    ]
    seconds = best(rounds, {" ".join(names): training_step(*names, batch) for names in presets})
    print(f"\n| network | preset | crops per second in training, bf16, batch {batch} |\n|---|---|---|")
    for stem, preset in presets:
        print(f"| {stem} | {preset} | {batch / seconds[f'{stem} {preset}']:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--only", choices=("runtime", "training"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.only != "training":
        runtime(options.rounds)
    if options.only != "runtime":
        training(max(2, options.rounds // 4), options.batch)


if __name__ == "__main__":
    main()
