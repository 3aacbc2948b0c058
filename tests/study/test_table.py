import json
from pathlib import Path

import numpy as np
import pytest

from canthus.study.outcome import Figure, gather
from canthus.study.plan import Ablation, folder_of, measures_of
from canthus.study.table import as_json, markdown, write_outcome
from canthus.train.recipe import Recipe
from toy_run import write_card

ERRORS = {"base": (4.0, 4.4), "better": (3.6, 3.74), "worse": (3.9,)}


@pytest.fixture
def study(tmp_path: Path, tiny: Recipe) -> Ablation:
    """Two seeds of two rows are done, one of the third, none of the fourth."""
    ablation = Ablation.model_validate(
        {
            "name": "study",
            "paper": "table 1",
            "recipe": {},
            "rows": [
                {"name": "base", "paper": 5},
                {"name": "better", "paper": 4},
                {"name": "worse"},
                {"name": "never | run", "against": "base", "paper": 4.5},
            ],
            "measures": [{"name": "faces", "set": "wild68", "normaliser": "box"}],
        }
    )
    for row in ablation.rows:
        for seed, error in zip(ablation.seeds, ERRORS.get(row.name, ()), strict=False):
            folder = folder_of(tmp_path, ablation, row, seed)
            folder.mkdir(parents=True)
            (folder / "last.ckpt").touch()
            entry = {
                "measure": measures_of(ablation, row)[0].model_dump(exclude={"name"}),
                "checkpoint": (folder / "last.ckpt").stat().st_mtime_ns,
            }
            (folder / "measured.json").write_text(json.dumps([{**entry, "nme": error, "faces": 7}]))
            write_card(folder, tiny, [1.5, None, 0.5])
    return ablation


def test_means_spreads_and_gains(study: Ablation, tmp_path: Path) -> None:
    outcome = gather(study, tmp_path, "canthus ablate study.yaml", "abc1234")
    cells = outcome.cells["faces"]
    assert cells["better"].error == pytest.approx((3.67, np.std([3.6, 3.74], ddof=1)))
    assert cells["better"].gain == pytest.approx(((0.4 + 0.66) / 2, np.std([0.4, 0.66], ddof=1)))
    assert cells["better"].relative == pytest.approx(((10 + 15) / 2, np.std([10, 15], ddof=1)))
    assert cells["better"].paper_relative == pytest.approx(20)
    assert cells["worse"].gain.mean == pytest.approx(3.6 - 3.9)  # only the seed that both have
    assert np.isnan(cells["worse"].gain.spread)
    assert np.isnan(cells["base"].gain.mean)
    assert cells["never | run"].paper_relative == pytest.approx(10)
    assert outcome.minutes == {"base": 4, "better": 4, "worse": 2, "never | run": 0}


def test_a_result_of_another_checkpoint_does_not_count(study: Ablation, tmp_path: Path) -> None:
    (tmp_path / "base/1/last.ckpt").write_text("trained anew")
    assert list(gather(study, tmp_path, "", "").cells["faces"]["base"].values) == [2]


def test_files(study: Ablation, tmp_path: Path) -> None:
    outcome = gather(study, tmp_path, "canthus ablate study.yaml", "abc1234")
    text = markdown(outcome)
    assert "| better | 3.67 ± 0.10 | 4.00 | +0.53 ± 0.18 | +12.5 ± 3.5 | +20.0 | 4.0 |" in text
    assert r"| never \| run [against base] | – | 4.50 | – | – | +10.0 | – |" in text
    assert "10.0 minutes in all" in text
    written = json.loads(as_json(outcome))
    assert written["cells"]["faces"]["base"]["values"] == {"1": 4.0, "2": 4.4}
    assert written["cells"]["faces"]["base"]["gain"] == {"mean": None, "spread": None}
    assert (written["command"], written["commit"]) == ("canthus ablate study.yaml", "abc1234")
    assert "Commit abc1234. Command:\n\n    canthus ablate study.yaml" in text
    write_outcome(outcome, tmp_path)
    assert (tmp_path / "table.md").read_text() == text
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_figures_as_text() -> None:
    assert Figure(float("nan"), float("nan")).text() == "–"
    assert Figure(3.456, float("nan")).text() == "3.46"
    assert Figure(-0.5, 0.25).text(sign=True, digits=1) == "-0.5 ± 0.2"
