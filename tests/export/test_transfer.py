"""A transfer as the last stage of a bundle."""

from pathlib import Path

import numpy as np
import pytest

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.errors import DataError
from canthus.export.landmarks import export
from canthus.export.transfer import add_transfer
from canthus.geometry.crop import box_of
from canthus.runtime.bundle import Bundle
from canthus.train.fit import fit
from canthus.train.recipe import Recipe, check_recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]


@pytest.fixture(scope="module")
def bundle(drawn: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coarse points of 51, which have no contour, in front of a transfer to 68."""
    out = tmp_path_factory.mktemp("run")
    fields = {"network": "coarse_to_fine", "stage": "coarse", "preset": "ablation", "steps": 40, "validate_every": 40}
    config = {"size": 32, "stem": [8, 16], "widths": [24, 24, 24], "hidden": 32, "teacher": False}
    tree = tiny.model_dump(mode="json") | fields | {"config": config, "scheme": "51", "losses": {}}
    checkpoint = fit(check_recipe(tree, "test"), drawn, out)
    export([checkpoint], drawn, out / "some.canthus", int8=False)
    return out / "some.canthus"


def test_a_transfer_is_the_last_stage(bundle: Path, drawn: Path) -> None:
    """Results are in the scheme of the set; the prefix gives what the networks find; the curve of scores is kept."""
    before = Aligner.open(bundle)
    card = add_transfer(bundle, "wild68", drawn)
    after = Aligner.open(bundle)
    assert [stage.name for stage in card.stages] == ["coarse", "transfer"]
    assert (before.scheme.name, after.scheme.name, after.system.prefix(1).scheme) == ("51", "68", "51")
    assert card.precisions == ["fp32"] and card.data[-1] == "wild68 train"
    assert after.system.curve is not None and before.system.curve is not None
    sample = open_set("wild68", drawn, "val")[0]
    box = box_of(sample.points)
    one, other = (aligner.align(sample.picture(), box) for aligner in (before, after))
    assert other.points.shape == (1, 68, 2) and other.scores.shape == (1, 68)
    short = Aligner.open(bundle, depth=1).align(sample.picture(), box)
    np.testing.assert_array_equal(short.points, one.points)
    assert Bundle.open(bundle).arrays(card.stages[-1])["transfer_copied"].shape == (0, 2)
    error = np.linalg.norm(other.points[0] - sample.points, axis=-1).mean()
    found = np.linalg.norm(one.points[0] - sample.points[17:], axis=-1).mean()
    assert error < 3 * found + 3


def test_a_set_without_points_is_refused(bundle: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canthus.export.transfer.open_set", lambda *words: [])
    with pytest.raises(DataError, match="wild68 train: a transfer needs faces of one scheme, not of none"):
        add_transfer(bundle, "wild68", drawn)
