"""What the pages refer to must exist: links, headings, files of the code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "LICENSE-WEIGHTS.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "examples", "models")),
]
CODE = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.py)`")
"""A Python file named in a page."""
INVENTED = {"x.py", "test_x.py", "smiles.py", "test_smiles.py"}
"""Files that stand for the reader's own."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text()):
        if "://" not in target:
            file = page.parent / target if target else page
            assert file.exists(), target
            assert not anchor or anchor in anchors_of(file), f"{target}#{anchor}"


def anchors_of(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_code_are_where_the_page_says(page: Path) -> None:
    """Paths start at the repository, at the package, or at the folder of the page."""
    for name in CODE.findall(page.read_text()):
        if Path(name).name not in INVENTED:
            starts = (ROOT, ROOT / "src/canthus", page.parent)
            assert any((start / name).exists() for start in starts), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    assert not re.findall(r"@[A-Z]+@|TODO|FIXME", page.read_text())
