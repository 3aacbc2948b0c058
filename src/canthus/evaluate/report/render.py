"""Fills the templates of the page; every text is escaped, so names of files and systems cannot become HTML."""

from typing import Any

from canthus.errors import need


def check_jinja() -> None:
    """Check that pages can be written, before the long work starts.

    Raises:
        ExtraMissingError: Jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise need("report") from error


def render(template: str, **values: Any) -> str:
    """Text of a template of `canthus.evaluate.report`.

    Args:
        template: File name in the folder `templates`.
        values: Variables of the template.

    Raises:
        ExtraMissingError: Jinja2 is not installed.
    """
    check_jinja()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("canthus.evaluate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
