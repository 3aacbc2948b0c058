import json
from pathlib import Path

import pytest

from canthus.recipes import names
from canthus.runtime.bundle import Bundle
from canthus.train.recipe import Recipe
from canthus.train.run_card import RunCard
from command import run

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def test_from_recipe_to_card(
    drawn: Path, tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train, export and info, as a user types them."""
    monkeypatch.delenv("CANTHUS_DATA", raising=False)
    recipe, out, bundle = tmp_path / "tiny.yaml", tmp_path / "run", tmp_path / "tiny.canthus"
    recipe.write_text(tiny.model_dump_json())  # JSON is YAML
    steps = ("--set", "steps=4", "--set", "validate_every=2")
    assert run("train", recipe, "--root", drawn, "--out", out, *steps) == 0
    assert "make a bundle of it" in capsys.readouterr().out
    assert run("train", recipe, "--root", drawn, "--out", out, *steps) == 3
    assert "already holds a run; add --resume" in capsys.readouterr().err
    assert run("export", out / "best.ckpt", "--root", drawn, "--out", bundle, "--margin", "1.2") == 0
    assert "px from torch" in capsys.readouterr().out
    assert Bundle.open(bundle).card.stages[0].crop.margin == 1.2
    assert run("info", bundle) == 0
    assert "research use only" in " ".join(capsys.readouterr().out.split())


def test_a_stage_that_needs_a_gpu_is_refused_before_the_first_one_trains(
    drawn: Path, tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    recipe, out = tmp_path / "two.yaml", tmp_path / "run"
    recipe.write_text(json.dumps(tiny.model_dump(mode="json") | {"then": [{"accelerator": "cuda"}]}))
    assert run("train", recipe, "--root", drawn, "--out", out) == 3
    assert "trains on a GPU, and torch finds none" in capsys.readouterr().err
    assert not out.exists()


def test_a_recipe_is_packed_with_its_faces(
    drawn: Path, tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "packed"
    recipe.write_text(tiny.model_dump_json())
    assert run("train", recipe, "--root", drawn, "--pack", out) == 0
    assert f"canthus train {out / 'recipe.yaml'} --root {out}" in " ".join(capsys.readouterr().out.split())
    run_of_it = ("--out", tmp_path / "run", "--set", "steps=2", "--set", "validate_every=2")
    assert run("train", out / "recipe.yaml", "--root", out, *run_of_it) == 0


def test_stages_are_trained_one_after_the_other(
    drawn: Path, tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each starts from the one before and has its folder; finished ones are skipped; the first failure ends it."""
    tree = tiny.model_copy(update={"steps": 2, "validate_every": 2}).model_dump(mode="json", exclude={"start"})
    recipe, out = tmp_path / "two.yaml", tmp_path / "run"
    recipe.write_text(json.dumps(tree | {"then": [{"optimiser": {"rate": 1e-4}, "seed": 7}]}))
    assert run("train", recipe, "--root", drawn, "--out", out) == 0
    cards = [RunCard.beside(out / name / "best.ckpt") for name in "12"]
    assert [card.recipe["optimiser"]["rate"] for card in cards] == [tiny.optimiser.rate, 1e-4]
    assert cards[1].recipe["optimiser"]["ema"] == tiny.optimiser.ema
    assert cards[1].start[0] is not None and cards[1].start[0].recipe["seed"] == tiny.seed
    times = [(out / name / "last.ckpt").stat().st_mtime_ns for name in "12"]
    assert run("train", recipe, "--root", drawn, "--out", out, "--resume") == 0
    assert times == [(out / name / "last.ckpt").stat().st_mtime_ns for name in "12"]
    assert run("train", recipe, "--root", tmp_path / "nowhere", "--out", tmp_path / "x") == 3
    assert not (tmp_path / "x" / "2").exists()
    assert run("train", recipe, "--root", drawn, "--out", out, "--stage", "3") == 2
    assert "2 stages" in capsys.readouterr().err


def test_recipes_are_listed_printed_and_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recipes") == 0
    listed = capsys.readouterr().out.splitlines()
    assert {len(line) - len(line.partition("  ")[2].lstrip()) for line in listed} == {max(map(len, names())) + 2}
    assert any(line.startswith("local_global_full  ") for line in listed)
    assert run("recipes", "large", "-o", tmp_path / "mine.yaml") == 0
    assert run("recipes", "large") == 0
    assert capsys.readouterr().out.endswith((tmp_path / "mine.yaml").read_text())
    assert run("recipes", "huge") == 3
    assert "no recipe is called 'huge'; give a YAML file, or one of ablation_" in capsys.readouterr().err


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CANTHUS_DATA", raising=False)
        assert run("train", tmp_path / "none.yaml") == 3
        assert "none.yaml: cannot be read" in capsys.readouterr().err
        assert run("export", tmp_path / "best.ckpt", "--out", tmp_path / "x.canthus") == 3
        assert "--root or in the environment variable CANTHUS_DATA" in capsys.readouterr().err
    assert run("export", tmp_path / "best.ckpt", "--root", tmp_path, "--out", tmp_path / "x.canthus") == 3
    assert "best.ckpt does not exist" in capsys.readouterr().err
    assert run("info", tmp_path / "none.canthus") == 3
    assert "no such model bundle" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("canthus 0.")
