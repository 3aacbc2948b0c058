"""Landmark schemes of one's own in recipes: a recipe names their files, and then holds what these say."""

from collections.abc import Iterator, Mapping
from typing import Any

from canthus.schemes.definition import Definition
from canthus.schemes.scheme import SUFFIXES, Scheme

FIELD = "scheme"
"""Field of a recipe, and option of its sets, that names a landmark scheme."""


def with_definitions(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe, with the name of each own scheme in place of its file, and its definition in `schemes`.

    Args:
        tree: Fields, not checked yet.

    Raises:
        SchemeError: a file of a scheme is missing or damaged, or another scheme has its name.
    """
    changed: dict[str, Any] = _copied(tree)
    found: dict[str, Any] = {}
    for place in _places(changed):
        name = place.get(FIELD)
        if isinstance(name, str) and name.endswith(SUFFIXES):
            scheme = Scheme.open(name)
            place[FIELD] = scheme.name
            found[scheme.name] = scheme.definition.model_dump(mode="json", exclude_defaults=True)
    known = changed.get("schemes", {})
    if found and isinstance(known, dict):
        changed["schemes"] = {**known, **found}
    return changed


def define(schemes: Mapping[str, Definition], source: str) -> None:
    """Let the schemes that a recipe of this file defines be known by their names.

    Raises:
        SchemeError: a definition is wrong, or another scheme has its name.
    """
    for name, definition in schemes.items():
        Scheme.define(name, definition, source)


def _places(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The mappings of a recipe that may name a scheme."""
    yield tree
    for sets in (tree.get("sets"), tree.get("val")):
        for share in sets if isinstance(sets, list) else ():
            for options in (share.get("options"), share.get("given")) if isinstance(share, dict) else ():
                if isinstance(options, dict):
                    yield options


def _copied(value: Any) -> Any:
    """A copy of nested mappings and lists."""
    if isinstance(value, Mapping):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value
