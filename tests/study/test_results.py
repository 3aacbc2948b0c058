"""The figures of docs/reproduction.md are those of docs/results, with the commands that made them."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from canthus.recipes import find

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docs" / "results").glob("*.json"))


def cell(value: Any, digits: int) -> str:
    """A figure as the page has it: 3.72 ± .01."""
    if not isinstance(value, dict):
        return value or ""
    return " ± ".join(re.sub(r"^(-?)0\.", r"\1.", f"{value[name]:.{digits}f}") for name in ("mean", "spread"))


def lines(table: dict[str, Any]) -> list[str]:
    """Head and rows as lines of the page."""
    digits = table.get("digits", {})
    cells = [[cell(row[name], digits.get(name, 2)) for name in table["columns"]] for row in table["rows"]]
    return ["".join(f"| {text} " if text else "| " for text in row) + "|" for row in (table["columns"], *cells)]


def squeezed(line: str) -> str:
    return re.sub(r"\s+", " ", line)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_page_has_the_figures_of_the_file(file: Path) -> None:
    sections = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8").split("\n## ")
    for table in json.loads(file.read_text(encoding="utf-8"))["tables"]:
        (section,) = [text for text in sections if text.startswith(table["heading"] + "\n")]
        page = [squeezed(line) for line in section.splitlines() if line.startswith("|")]
        first = page.index(squeezed(lines(table)[0]))
        there = page[first : first + 2 + len(table["rows"])]
        assert [there[0], *there[2:]] == [squeezed(line) for line in lines(table)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_names_its_source_and_commands(file: Path) -> None:
    tree = json.loads(file.read_text(encoding="utf-8"))
    assert re.fullmatch("[0-9a-f]{7}", tree["published"]) and tree["source"].startswith("Transcribed")
    for command in tree["commands"]:
        words = shlex.split(command)
        assert words[0] == "canthus" and words[1] in ("ablate", "evaluate")
        assert words[1] != "ablate" or find(words[2]).is_file()
        assert all((ROOT / word).is_file() for word in words if word.startswith("models/"))


def test_every_ablation_of_the_page_has_a_file() -> None:
    """A transcript, or the table that the ablation itself wrote."""
    page = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
    named = set(re.findall(r"canthus ablate ((?:ablation|effects)_\w+)", page))
    written = {file.stem for file in (ROOT / "benchmarks" / "results").glob("*.json") if file.stem in named}
    for name in written:
        tree = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
        assert tree["command"].startswith(f"canthus ablate {name} ") and find(name).is_file() and tree["cells"]
    assert named <= written | {file.stem for file in FILES}
