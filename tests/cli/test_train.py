from pathlib import Path

import pytest

from canthus.cli import main
from canthus.runtime.bundle import Bundle
from canthus.train.recipe import Recipe, Start

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def run(*words: str | Path) -> int:
    """Exit code of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["canthus", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
    return int(stopped.value.code or 0)


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


def test_recipes_are_trained_one_after_the_other(
    drawn: Path, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second starts from the first; each has a folder named after its file; the first failure ends it."""
    monkeypatch.chdir(tmp_path)
    short = tiny.model_copy(update={"steps": 2, "validate_every": 2})
    (tmp_path / "one.yaml").write_text(short.model_dump_json())
    start = [Start(checkpoint=Path("runs/one/best.ckpt"))]
    (tmp_path / "two.yaml").write_text(short.model_copy(update={"start": start}).model_dump_json())
    assert run("train", "one.yaml", "two.yaml", "--root", drawn) == 0
    assert all((tmp_path / "runs" / name / "best.ckpt").is_file() for name in ("one", "two"))
    assert run("train", "two.yaml", "one.yaml", "--root", tmp_path / "nowhere") == 3
    assert run("train", "one.yaml", "two.yaml", "--root", drawn, "--out", "x") == 2
    assert "--out names the folder of one run" in capsys.readouterr().err


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CANTHUS_DATA", raising=False)
        assert run("train", tmp_path / "none.yaml") == 3
        assert "cannot read the recipe" in capsys.readouterr().err
        assert run("export", tmp_path / "best.ckpt", "--out", tmp_path / "x.canthus") == 3
        assert "--root or in the environment variable CANTHUS_DATA" in capsys.readouterr().err
    assert run("export", tmp_path / "best.ckpt", "--root", tmp_path, "--out", tmp_path / "x.canthus") == 3
    assert "best.ckpt does not exist" in capsys.readouterr().err
    assert run("info", tmp_path / "none.canthus") == 3
    assert "no such model bundle" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("canthus 0.")
