"""Cards of runs: lineage, and what is said of cards that cannot be read."""

import json
from pathlib import Path

import pytest

from canthus.errors import InputError
from canthus.train.recipe import Recipe, Start
from canthus.train.run_card import CARD, RunCard, Session
from toy_run import write_card


def run(folder: Path, recipe: Recipe, minutes: list[float | None]) -> Path:
    """A run's folder with a card and an empty checkpoint."""
    folder.mkdir()
    write_card(folder, recipe, minutes)
    (folder / "best.ckpt").touch()
    return folder / "best.ckpt"


def test_a_card_is_read_as_it_was_written(tiny: Recipe, tmp_path: Path) -> None:
    card = RunCard.of(tiny, tmp_path, "68", {"count": 8.0}, "a hash")
    card.sessions.append(Session(commit="abc+", first_step=3, minutes=1.5, last={"val/nme": 4.25}))
    card.write(tmp_path)
    (tmp_path / "last.ckpt").touch()
    assert RunCard.beside(tmp_path / "last.ckpt") == card


def test_minutes_are_those_of_sessions_that_ended(tiny: Recipe, tmp_path: Path) -> None:
    for number, (minutes, expected) in enumerate((([2.0, None, 3.0], 5.0), ([2.0, None], None), ([], None))):
        assert RunCard.beside(run(tmp_path / str(number), tiny, minutes)).minutes == expected


def test_lineage(tiny: Recipe, tmp_path: Path) -> None:
    """A run that started from another one and follows two earlier stages, one of whose cards was lost."""
    first = run(tmp_path / "first", tiny.model_copy(update={"name": "first"}), [1.0])
    second = tiny.model_copy(update={"name": "second", "start": [Start(checkpoint=first)]})
    stage, lost = run(tmp_path / "stage", second, [2.0]), tmp_path / "lost" / "best.ckpt"
    third = tiny.model_copy(update={"name": "third", "earlier": [stage, lost], "start": [Start(checkpoint=first)]})
    lineage = RunCard.beside(run(tmp_path / "third", third, [3.0])).lineage()
    assert lineage["recipe"]["name"] == "third" and lineage["sessions"][0]["minutes"] == 3
    assert [card["recipe"]["name"] for card in lineage["start"]] == ["first"]
    assert lineage["earlier"][1] is None
    assert lineage["earlier"][0]["recipe"]["name"] == "second"
    assert lineage["earlier"][0]["start"][0]["recipe"]["name"] == "first"
    assert "start" not in lineage["start"][0] and "earlier" not in lineage["start"][0]
    assert not {"command", "data", "python"} & lineage.keys(), "a bundle names no file of the machine"
    assert str(tmp_path) not in json.dumps(lineage)
    assert lineage["earlier"][0]["recipe"]["start"][0]["checkpoint"] == "first/best.ckpt"


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe{}", b'{"recipe": '])
def test_a_damaged_card_is_named(tiny: Recipe, tmp_path: Path, content: bytes) -> None:
    checkpoint = run(tmp_path / "run", tiny, [])
    (checkpoint.parent / CARD).write_bytes(content)
    with pytest.raises(InputError, match=r"run/card\.json: damaged: .*; copy it again from the folder of the run"):
        RunCard.beside(checkpoint)


@pytest.mark.parametrize(
    ("old", "message"),
    [
        ({"runs": []}, "runs: Extra inputs are not permitted"),
        ({"sessions": None}, "sessions: Input should be a valid array"),
        ({"sessions": [{"commit": "abc"}]}, "sessions.0.first_step: Field required"),
    ],
)
def test_a_card_of_another_version_names_the_remedy(tiny: Recipe, tmp_path: Path, old: dict, message: str) -> None:
    checkpoint = run(tmp_path / "run", tiny, [])
    card = checkpoint.parent / CARD
    card.write_text(json.dumps(json.loads(card.read_text()) | old))
    with pytest.raises(InputError, match=rf"card\.json: written by another version of canthus: {message}; use that"):
        RunCard.beside(checkpoint)


def test_what_is_missing_is_named(tiny: Recipe, tmp_path: Path) -> None:
    checkpoint = run(tmp_path / "run", tiny, [])
    with pytest.raises(InputError, match=r"last\.ckpt does not exist; `canthus train` writes checkpoints with a card"):
        RunCard.beside(checkpoint.with_name("last.ckpt"))
    (checkpoint.parent / CARD).unlink()
    with pytest.raises(InputError, match=r"card\.json does not exist"):
        RunCard.beside(checkpoint)


def test_hashes_of_labels(drawn: Path, tiny: Recipe) -> None:
    """Those of the file of labels; None where a set is not there."""
    missing = tiny.model_copy(update={"sets": [*tiny.sets, tiny.sets[0].model_copy(update={"name": "ytf68"})]})
    data = RunCard.of(missing, drawn, "68", {}, None).data
    assert len(data["wild68 train"]) == 64 and data["ytf68 train"] is None
