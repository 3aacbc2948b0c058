import json
from pathlib import Path

import pytest
import yaml

from canthus.recipes import find
from canthus.train.recipe import Recipe
from command import run


def test_from_rows_to_a_table(drawn: Path, tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a user types it: one row trains and is measured twice, another one fails and is named."""
    file, out = tmp_path / "study.yaml", tmp_path / "out"
    recipe = tiny.model_dump(mode="json", exclude={"name", "seed"})
    study = {
        "name": "study",
        "recipe": {**recipe, "steps": 4, "validate_every": 2},
        "rows": [
            {"name": "base", "paper": 4},
            {"name": "bad", "set": {"config.no": 1}},
            {"name": "again", "of": "base"},
        ],
        "measures": [{"name": "faces", "set": "wild68", "split": "val"}],
    }
    file.write_text(yaml.safe_dump(study))
    assert run("ablate", file, "--root", drawn, "--out", out, "--seeds", "5", "--workers", "2") == 1
    told = capsys.readouterr()
    assert "bad/5 failed: config of compact" in told.err
    assert "faces: wild68 val, NME in % of the inter-ocular distance, 4 faces" in " ".join(told.out.split())
    cells = json.loads((out / "table.json").read_text())["cells"]["faces"]
    assert cells["base"]["values"] == cells["again"]["values"]
    assert cells["bad"]["values"] == {}
    assert run("ablate", file, "--root", drawn, "--out", out, "--seeds", "5", "--only", "again") == 0
    assert json.loads((out / "table.json").read_text())["cells"]["faces"] == cells
    capsys.readouterr()
    changed = ("--seeds", "5", "--set", "recipe.batch=4")
    assert run("ablate", file, "--root", drawn, "--out", out, *changed) == 3
    assert "other settings (batch differ, see recipe.json)" in capsys.readouterr().err


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ablate", tmp_path / "none.yaml", "--root", tmp_path) == 3
    assert "none.yaml: cannot be read" in capsys.readouterr().err
    plan = find("ablation_cascaded_cnn")
    assert run("ablate", plan, "--root", tmp_path, "--out", tmp_path / "out") == 3
    assert "wild68/train.csv does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out" / "table.md").exists()
