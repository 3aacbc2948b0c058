"""One contract that every system keeps, from its networks to its bundle.

A system is described to these tests by `systems/STEM.yaml`: for each of its networks a preset, fields of the config and
losses with which it learns eight drawn faces within seconds.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from canthus.align import systems as run_time
from canthus.align.estimate import Estimate
from canthus.align.stage import System
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.errors import ShapeError
from canthus.evaluate.metrics import distances, normalisers
from canthus.export.onnx import fold_norms, halve, part_to_onnx
from canthus.export.proof import faces_of, prove, record
from canthus.nets import systems as training
from canthus.nets.losses import target_of
from canthus.runtime.session import Session
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.job import arrays_of, build
from canthus.train.landmarks.loader import Stream
from canthus.train.landmarks.pool import Pool, frames_of, load_pool
from canthus.train.landmarks.system import Trained, join
from canthus.train.recipe import Recipe, check_recipe

SMALL: Mapping[str, Mapping[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in (Path(__file__).parent / "systems").glob("*.yaml")
}
NETWORKS = [(stem, stage) for stem in sorted(training.SYSTEMS) for stage in training.SYSTEMS[stem]]
named = pytest.mark.parametrize(("stem", "stage"), NETWORKS, ids=lambda name: name)


def recipe_for(tiny: Recipe, stem: str, stage: str) -> Recipe:
    """Eight crops that never change, but for mirroring."""
    tree = tiny.model_dump(mode="json") | {"phases": [{"share": 1, "size": 64}], "steps": 1_000_000}
    tree["augment"] |= {"scale": 1.0, "shift": 0.0, "stretch": 1.0, "flip": 0.5}
    return check_recipe(tree | {"network": stem, "stage": stage, "config": {}} | SMALL[stem][stage], stem)


def trained_for(recipe: Recipe, pool: Pool, seed: int = 0) -> Trained:
    torch.manual_seed(seed)
    return build(recipe, "68", arrays_of(recipe, pool))


class Bench:
    """One network of a system beside its batches."""

    def __init__(self, recipe: Recipe, drawn: Path) -> None:
        self.recipe = recipe
        margin = training.configure(recipe.network, recipe.preset, recipe.config, "68", recipe.stage).margin
        self.pool = load_pool(recipe, drawn, margin)
        stage = join([self.trained()]).stages[0]
        self.stream = Stream(self.pool, recipe, frames_of(self.pool, stage, self.pool.given), margin)

    def trained(self, seed: int = 0) -> Trained:
        return trained_for(self.recipe, self.pool, seed)


@pytest.fixture(scope="module")
def benches(drawn: Path, tiny: Recipe) -> Mapping[tuple[str, str], Bench]:
    return {names: Bench(recipe_for(tiny, *names), drawn) for names in NETWORKS}


def crops_of(batch: Mapping[str, Tensor]) -> Tensor:
    return batch["crops"].permute(0, 3, 1, 2).float() / 255 - 0.5


def loss_of(trained: Trained, batch: Mapping[str, Tensor]) -> Tensor:
    parts = trained.network.loss(trained.net(crops_of(batch)), target_of(batch), trained.recipe.losses)
    assert all(part.shape == (len(batch["crops"]),) for part in parts.values())
    return torch.stack([part.mean() for part in parts.values()]).sum()


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda names: " ".join(names))
def learnt(request: pytest.FixtureRequest, benches: Mapping[tuple[str, str], Bench]) -> Iterator[tuple[Bench, Trained]]:
    """A network that has learnt eight faces by heart, seen from both sides."""
    bench = benches[request.param]
    trained, steps = bench.trained(), 400
    net = trained.net.train()
    optimiser = torch.optim.AdamW(net.parameters(), 4e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        loss = loss_of(trained, bench.stream.batch(step))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    net.eval()
    yield bench, trained


def from_truth(system: System, images: list[np.ndarray], truth: np.ndarray) -> Estimate:
    """What a system, or its later stages, finds from true boxes and points."""
    return system.run(View.of_points(images, truth), Estimate.of_points(truth))


def test_every_system_has_both_files_and_a_description() -> None:
    assert set(training.SYSTEMS) == set(run_time.SYSTEMS) == set(SMALL)
    assert all(set(training.SYSTEMS[stem]) == set(SMALL[stem]) for stem in SMALL)


@named
@pytest.mark.parametrize("count", [1, 7])
def test_shapes(stem: str, stage: str, count: int, benches: Mapping[tuple[str, str], Bench]) -> None:
    several = training.network_of(stem, stage).several("68")
    count *= len(several.partners) * several.together
    with torch.no_grad():
        prediction = benches[stem, stage].trained().net.eval()(torch.zeros(count, 3, 64, 64))
    assert prediction.points.shape == (count, 68, 2)
    assert prediction.log_spread.shape == (count, 68)
    assert prediction.points.dtype == prediction.log_spread.dtype == torch.float32


@pytest.mark.parametrize("stem", sorted(training.SYSTEMS))
def test_faces_of_images(stem: str, benches: Mapping[tuple[str, str], Bench], rng: np.random.Generator) -> None:
    """None, one and seven faces; every prefix of the row; a stage that does not exist."""
    image = rng.integers(0, 256, (90, 110, 3), np.uint8)
    boxes = np.float32([[10, 10, 60, 70]]) + rng.uniform(0, 20, (7, 1)).astype(np.float32)
    every = [benches[stem, stage].trained() for stage in training.SYSTEMS[stem]]
    for trained in every:
        trained.net.eval()
    system = join(every)
    none, one, seven = system.align([image] * 3, [boxes[:0], boxes[:1], boxes])
    dims = system.stages[-1].dims
    assert [faces.points.shape for faces in (none, one, seven)] == [(0, 68, dims), (1, 68, dims), (7, 68, dims)]
    np.testing.assert_allclose(one.points[0], seven.points[0], atol=2e-3)
    assert ((seven.scores >= 0) & (seven.scores <= 1)).all()
    for depth in range(1, len(system.stages) + 1):
        dims = system.stages[depth - 1].dims
        assert system.prefix(depth).align([image], [boxes])[0].points.shape == (7, 68, dims)
    with pytest.raises(ShapeError, match="cannot stop after"):
        system.prefix(len(system.stages) + 1)


@named
def test_determinism(stem: str, stage: str, benches: Mapping[tuple[str, str], Bench]) -> None:
    bench = benches[stem, stage]
    crops = crops_of(bench.stream.batch(0))
    with torch.no_grad():
        first, second = (bench.trained(seed=3).net.eval()(crops) for _ in range(2))
    for one, other in ((first.points, second.points), (first.log_spread, second.log_spread)):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@named
def test_gradients_reach_every_parameter(stem: str, stage: str, benches: Mapping[tuple[str, str], Bench]) -> None:
    """From the second step on: what starts at zero keeps the gradient from what lies before it."""
    bench = benches[stem, stage]
    trained = bench.trained()
    net = trained.net.train()
    optimiser = torch.optim.SGD(net.parameters(), 1e-3)
    for step in range(3):
        optimiser.zero_grad()
        batch = bench.stream.batch(step)
        batch["pose"] = torch.zeros_like(batch["pose"]) + 9.0
        batch["visible"] = torch.ones_like(batch["visible"])
        batch["depth"] = torch.arange(68.0).expand_as(batch["depth"])
        loss_of(trained, batch).backward()
        optimiser.step()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


@named
def test_unknown_labels_leave_every_loss_finite(
    stem: str, stage: str, benches: Mapping[tuple[str, str], Bench]
) -> None:
    """Faces of which some points, or all but a few, are not known."""
    bench = benches[stem, stage]
    trained = bench.trained()
    batch = bench.stream.batch(0)
    batch["points"][0, 3] = torch.nan
    batch["points"][1, 5:] = torch.nan
    loss_of(trained, batch).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in trained.net.parameters())


def test_eight_faces_are_learnt_by_heart(learnt: tuple[Bench, Trained], drawn: Path) -> None:
    """NME below 1 % through the shipped stages, on the faces and on their mirror images."""
    _, trained = learnt
    samples = list(open_set("wild68", drawn, "train"))
    images = [sample.picture() for sample in samples]
    truth = np.stack([sample.points for sample in samples])
    scheme, system = Scheme.open("68"), join([trained])
    found = []
    for mirrored in (False, True):
        shown = [np.ascontiguousarray(image[:, ::-1]) if mirrored else image for image in images]
        widths = np.array([image.shape[1] for image in images])
        sides = np.stack([scheme.mirrored(t, w) for t, w in zip(truth, widths, strict=True)]) if mirrored else truth
        points = from_truth(system, shown, sides).points[..., :2]
        error = distances(points, sides).mean(1) / normalisers(sides, "inter-ocular", scheme)
        assert error.mean() < 0.01
        back = [scheme.mirrored(p, w) for p, w in zip(points, widths, strict=True)] if mirrored else points
        found.append(np.stack(back))
    between = distances(found[0], found[1]).mean(1) / normalisers(truth, "inter-ocular", scheme)
    assert between.mean() < 0.015


def test_weights_that_are_saved_and_loaded(learnt: tuple[Bench, Trained], tmp_path: Path) -> None:
    bench, trained = learnt
    torch.save(trained.net.state_dict(), tmp_path / "weights.pt")
    other = bench.trained(seed=5).net.eval()
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    crops = crops_of(bench.stream.batch(0))
    with torch.no_grad():
        torch.testing.assert_close(trained.net(crops).points, other(crops).points, rtol=0, atol=0, equal_nan=True)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_onnx_runtime_gives_what_torch_gives(learnt: tuple[Bench, Trained], drawn: Path) -> None:
    """Norms folded, weights halved, any number of faces."""
    _, trained = learnt
    folded = Trained(fold_norms(trained.net), trained.recipe, trained.scheme, trained.arrays)
    faces = faces_of(folded, folded.recipe.sets, drawn)
    records = record([folded], [0.1], faces)
    parts = folded.parts(0.1)
    count = torch.export.Dim("faces")
    models = {}
    for part in parts:
        example = {name: array[:2] for name, array in records[part.name].items()}
        models[part.name] = halve(part_to_onnx(part, example, ({0: count},) * len(part.inputs)))
    assert prove([folded], [0.1], models, faces) < 0.05
    shipped = join([folded], [folded.stage_parts({name: Session(model) for name, model in models.items()})])
    sample = open_set("wild68", drawn, "train")[0]
    for repeated in (1, 7):
        truth = np.repeat(sample.points[None], repeated, 0)
        found = from_truth(shipped, [sample.picture()] * repeated, truth).points
        assert found.shape == (repeated, 68, shipped.stages[-1].dims)
        assert np.abs(found - from_truth(join([trained]), [sample.picture()], truth[:1]).points).max() < 0.5
