"""One bundle of several runs of a network: the mean of their weights, and the sets on which scores are calibrated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.errors import InputError, RecipeError
from canthus.export.landmarks import export
from canthus.geometry.crop import box_of
from canthus.runtime.bundle import Bundle
from canthus.train.fit import fit
from canthus.train.landmarks.system import averaged, join, load_trained
from canthus.train.recipe import Recipe


@pytest.fixture(scope="module")
def runs(drawn: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Checkpoints of two runs that differ in their seed."""
    root = tmp_path_factory.mktemp("runs")
    short = {"steps": 6, "validate_every": 6}
    for seed in (1, 2):
        fit(tiny.model_copy(update={**short, "seed": seed}), drawn, root / str(seed))
    return [root / "1" / "last.ckpt", root / "2" / "last.ckpt"]


def test_weights_are_the_means_of_those_of_the_runs(drawn: Path, runs: list[Path], tmp_path: Path) -> None:
    card = export(runs, drawn, tmp_path / "mean.canthus", int8=False, average=True)
    nets = [load_trained(path)[0].net for path in runs]
    mean = load_trained(runs[0])[0]
    with torch.no_grad():
        for name, value in mean.net.state_dict().items():
            if value.is_floating_point():
                value.copy_(sum(net.state_dict()[name] for net in nets) / 2)
    samples = open_set("wild68", drawn, "val")
    images, boxes = [sample.picture() for sample in samples], [box_of(sample.points)[None] for sample in samples]
    aligner = Aligner.open(tmp_path / "mean.canthus")
    for ours, theirs in zip(aligner.align_many(images, boxes), join([mean]).align(images, boxes), strict=True):
        np.testing.assert_allclose(ours.points, theirs.points, atol=0.1)
    (entry,) = card.checkpoints.values()
    (other,) = entry.training["averaged"]
    assert len(entry.sha256 or "") == len(other["sha256"]) == 64 and entry.sha256 != other["sha256"]
    assert other["recipe"]["seed"] == 2
    assert Bundle.open(tmp_path / "mean.canthus").card == card


def test_only_runs_of_one_network_are_averaged(runs: list[Path]) -> None:
    first, second = (load_trained(path)[0] for path in runs)
    second.net.config = replace(second.net.config, near=0.05)
    with pytest.raises(InputError, match="only checkpoints of the same network"):
        averaged([first, second])


def test_changes_reach_the_export_and_not_the_card(drawn: Path, runs: list[Path], tmp_path: Path) -> None:
    curves = []
    for split in ("val", "train"):
        out = tmp_path / f"{split}.canthus"
        card = export(runs[:1], drawn, out, int8=False, changes=[f"val=[{{name: wild68, split: {split}}}]"])
        assert card.checkpoints["landmarks"].recipe["val"][0]["split"] == "val"
        bundle = Bundle.open(out)
        curves.append(bundle.arrays(bundle.card.stages[0])["score_true"])
    assert curves[0].shape != curves[1].shape or not np.allclose(*curves)
    with pytest.raises(RecipeError, match="--set"):
        export(runs[:1], drawn, tmp_path / "none.canthus", changes=["vall=3"])
