"""One contract that every system keeps, from its network to its bundle."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from canthus.align.aligner import ALIGNERS, solver_of
from canthus.align.cropped import Cropped
from canthus.data.catalogue import open_set
from canthus.errors import ShapeError
from canthus.evaluate.metrics import distances, normalisers
from canthus.export.landmarks import fold_norms, halve, prove, to_onnx
from canthus.geometry.crop import box_of
from canthus.nets.network import NETWORKS, configure
from canthus.runtime.session import Session
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.loader import Stream, load_pool
from canthus.train.landmarks.task import aligner_of
from canthus.train.objectives import OBJECTIVES, target_of
from canthus.train.recipe import Recipe

STEMS = sorted(NETWORKS)
SMALL: Mapping[str, tuple[str, dict[str, Any]]] = {
    "cascaded_cnn": (
        "ablation",
        {"depth": 2, "early": [8, 8, 16, 16, 24, 24], "late": [16, 16, 24, 24], "regression": [8, 8, 16, 32, 64]},
    ),
    "compact": ("compact", {"size": 64, "stem": [8, 16], "widths": [24, 24], "depths": [1, 1], "head": 24}),
    "local_global": ("ablation", {"stem": [8, 16], "width": 24, "residual_points": True}),
}
"""Preset and fields of a network that learns within seconds at 64 px."""
LOSSES = {
    "cascaded_cnn": {"heat_form": "l2", "sigma": 1.3, "decoded": 1.0},
    "compact": {},
    "local_global": {"heat_form": "sigmoid", "sigma": 1.3},
}


@pytest.fixture(scope="module")
def recipe(tiny: Recipe) -> Recipe:
    """Eight crops that never change, but for mirroring."""
    still = {"scale": 1.0, "shift": 0.0, "stretch": 1.0, "flip": 0.5}
    tree = tiny.model_dump(mode="json") | {"phases": [{"share": 1, "size": 64}], "steps": 1_000_000}
    return Recipe.model_validate(tree | {"augment": tree["augment"] | still})


@pytest.fixture(scope="module")
def batches(drawn: Path, recipe: Recipe) -> Stream:
    return Stream(load_pool(recipe, drawn), recipe, 1.3, "68", rank=0, first=0)


def build(stem: str, seed: int = 0) -> Any:
    preset, fields = SMALL[stem]
    torch.manual_seed(seed)
    return NETWORKS[stem].build(configure(stem, preset, fields, 68))


def crops_of(batch: Mapping[str, Tensor]) -> Tensor:
    return batch["crops"].permute(0, 3, 1, 2).float() / 255 - 0.5


def loss_of(net: Any, stem: str, batch: Mapping[str, Tensor], recipe: Recipe) -> Tensor:
    losses = recipe.losses.model_copy(update=LOSSES[stem])
    parts = OBJECTIVES[stem](net(crops_of(batch)), target_of(batch, 64), losses)
    assert all(part.shape == (len(batch["crops"]),) for part in parts.values())
    return torch.stack([part.mean() for part in parts.values()]).sum()


@pytest.fixture(scope="module", params=STEMS)
def learnt(request: pytest.FixtureRequest, batches: Stream, recipe: Recipe) -> Iterator[tuple[str, Any]]:
    """A network that has learnt eight faces by heart, seen from both sides."""
    stem: str = request.param
    net, steps = build(stem).train(), 400
    optimiser = torch.optim.AdamW(net.parameters(), 4e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        loss = loss_of(net, stem, batches.batch(step), recipe)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    yield stem, net.eval()


def test_every_system_has_both_files() -> None:
    assert set(NETWORKS) == set(ALIGNERS) == set(OBJECTIVES) == set(SMALL)


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("count", [1, 7])
def test_shapes(stem: str, count: int) -> None:
    with torch.no_grad():
        prediction = build(stem).eval()(torch.zeros(count, 3, 64, 64))
    assert prediction.points.shape == (count, 68, 2)
    assert prediction.log_spread.shape == (count, 68)
    assert prediction.points.dtype == prediction.log_spread.dtype == torch.float32


@pytest.mark.parametrize("stem", STEMS)
def test_faces_of_images(stem: str, rng: np.random.Generator) -> None:
    """None, one and seven faces; every stage of a cascade; a stage that there is not."""
    image = rng.integers(0, 256, (90, 110, 3), np.uint8)
    boxes = np.float32([[10, 10, 60, 70]]) + rng.uniform(0, 20, (7, 1)).astype(np.float32)
    aligner = aligner_of(build(stem).eval(), stem, "68")
    none, one, seven = aligner.align([image] * 3, [boxes[:0], boxes[:1], boxes])
    assert [faces.points.shape for faces in (none, one, seven)] == [(0, 68, 2), (1, 68, 2), (7, 68, 2)]
    np.testing.assert_allclose(one.points[0], seven.points[0], atol=2e-3)
    assert ((seven.scores >= 0) & (seven.scores <= 1)).all()
    for depth in range(1, min(2, ALIGNERS[stem].depths) + 1):
        assert aligner_of(build(stem).eval(), stem, "68", depth).align([image], [boxes])[0].points.shape == (7, 68, 2)
    with pytest.raises(ShapeError, match="cannot stop after"):
        aligner_of(build(stem).eval(), stem, "68", ALIGNERS[stem].depths + 1)


@pytest.mark.parametrize("stem", STEMS)
def test_determinism(stem: str, batches: Stream) -> None:
    crops = crops_of(batches.batch(0))
    with torch.no_grad():
        first, second = (build(stem, seed=3).eval()(crops) for _ in range(2))
    assert torch.equal(first.points, second.points)
    assert torch.equal(first.log_spread, second.log_spread)


@pytest.mark.parametrize("stem", STEMS)
def test_gradients_reach_every_parameter(stem: str, batches: Stream, recipe: Recipe) -> None:
    """From the second step on: what starts at zero keeps the gradient from what lies before it."""
    net = build(stem).train()
    optimiser = torch.optim.SGD(net.parameters(), 1e-3)
    for step in range(3):
        optimiser.zero_grad()
        batch = batches.batch(step)
        batch["pose"] = torch.zeros_like(batch["pose"]) + 9.0
        loss_of(net, stem, batch, recipe).backward()
        optimiser.step()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


def test_eight_faces_are_learnt_by_heart(learnt: tuple[str, Any], batches: Stream, recipe: Recipe, drawn: Path) -> None:
    """NME below 1 % through the shipped aligner, on the faces and on their mirror images."""
    stem, net = learnt
    samples = list(open_set("wild68", drawn, "train"))
    images = [sample.picture() for sample in samples]
    truth = np.stack([sample.points for sample in samples])
    scheme = Scheme.open("68")
    found = []
    for mirrored in (False, True):
        shown = [np.ascontiguousarray(image[:, ::-1]) if mirrored else image for image in images]
        widths = np.array([image.shape[1] for image in images])
        sides = np.stack([scheme.mirrored(t, w) for t, w in zip(truth, widths, strict=True)]) if mirrored else truth
        faces = aligner_of(net, stem, "68").align(shown, [box[None] for box in box_of(sides)])
        points = np.concatenate([some.points for some in faces])
        error = distances(points, sides).mean(1) / normalisers(sides, "inter-ocular", scheme)
        assert error.mean() < 0.01
        back = [scheme.mirrored(p, w) for p, w in zip(points, widths, strict=True)] if mirrored else points
        found.append(np.stack(back))
    between = distances(found[0], found[1]).mean(1) / normalisers(truth, "inter-ocular", scheme)
    assert between.mean() < 0.015


def test_weights_that_are_saved_and_loaded(learnt: tuple[str, Any], batches: Stream, tmp_path: Path) -> None:
    stem, net = learnt
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    other = build(stem, seed=5).eval()
    other.load_state_dict(torch.load(tmp_path / "weights.pt"))
    crops = crops_of(batches.batch(0))
    with torch.no_grad():
        assert torch.equal(net(crops).points, other(crops).points)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_onnx_runtime_gives_what_torch_gives(learnt: tuple[str, Any], batches: Stream, drawn: Path) -> None:
    """Norms folded, weights halved, any number of faces."""
    stem, net = learnt
    parts = NETWORKS[stem].parts(fold_norms(net), 0.1)
    models = {name: halve(model) for name, model in to_onnx(parts, 64).items()}
    assert set(models) == {part.name for part in parts}
    assert prove(parts, models, batches.batch(1)["crops"].numpy()) < 0.05
    sample = open_set("wild68", drawn, "train")[0]
    image, box = sample.picture(), box_of(sample.points)[None]
    solve = solver_of(stem, {name: Session(model) for name, model in models.items()})
    shipped = Cropped(solve, "68", 64, 1.3)
    for count in (1, 7):
        (faces,) = shipped.align([image], [np.repeat(box, count, 0)])
        (ours,) = aligner_of(net, stem, "68").align([image], [box])
        assert np.abs(faces.points - ours.points).max() < 0.5
