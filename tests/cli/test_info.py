"""`canthus info`: the card of a bundle, on the screen and as JSON."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from canthus import cli
from canthus.errors import BundleError
from canthus.runtime.bundle import Bundle, Card, default_bundle

MODELS = Path(__file__).parents[2] / "models"


def run(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "900"}).invoke(cli.app, ["info", *map(str, words)])


@pytest.mark.parametrize("path", [None, *sorted(MODELS.glob("*.canthus")), default_bundle("detector")], ids=str)
def test_the_screen_shows_what_one_must_know(path: Path | None) -> None:
    result = run(*([path] if path else []))
    assert result.exit_code == 0, result.output
    card = Bundle.open(path).card
    for words in (
        card.name,
        f"scheme {card.scheme}",
        card.paper,
        card.licence,
        *card.limits,
        "ONNX Runtime",
        "devices: cpu",
    ):
        assert words in result.output
    assert "hashes checked" in result.output


def test_the_card_as_json_to_a_file_and_to_the_standard_output(tmp_path: Path) -> None:
    file = tmp_path / "cards" / "default.json"
    assert run("--json", file).exit_code == 0
    printed = run("--json", "-")
    assert json.loads(file.read_text()) == json.loads(printed.output)
    assert Card.model_validate(json.loads(printed.output)) == Bundle.open(None).card


def test_a_bundle_that_is_missing_or_damaged(tmp_path: Path) -> None:
    missing = run(tmp_path / "none.canthus")
    assert isinstance(missing.exception, BundleError) and "none.canthus" in str(missing.exception)
    damaged = tmp_path / "damaged.canthus"
    shutil.copy(default_bundle(), damaged)
    with damaged.open("r+b") as stream:
        stream.truncate(damaged.stat().st_size // 2)
    result = run(damaged)
    assert isinstance(result.exception, BundleError) and "damaged.canthus" in str(result.exception)


def test_another_network_under_the_name_in_the_card(tmp_path: Path) -> None:
    import zipfile

    changed = tmp_path / "changed.canthus"
    with zipfile.ZipFile(default_bundle()) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data if name.endswith(".json") else data[:-1] + bytes([data[-1] ^ 1]))
    result = run(changed)
    assert isinstance(result.exception, BundleError) and "hash" in str(result.exception)
