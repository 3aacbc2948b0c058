from pathlib import Path

from canthus.recipes import names
from canthus.train.fields import attributes, page


def test_the_page_of_all_fields_is_that_of_the_models() -> None:
    """`canthus recipes --fields > docs/recipes.md` makes it again."""
    assert (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8") == page()


def test_every_field_is_explained() -> None:
    text = page()
    for field in ("rate", "weight", "heat_form", "mining", "positives", "teacher", "photographs"):
        assert f"| `{field}` |" in text
    assert all(len(line.split("|")) >= 5 for line in text.splitlines() if line.startswith("| `"))
    assert "default" in names()


def test_attributes_of_a_docstring() -> None:
    text = """First.

    Attributes:
        one: Of a | b,
            on two lines.
        two: Short.

    Other: not this.
    """
    assert attributes(text) == {"one": "Of a \\| b, on two lines.", "two": "Short."}
