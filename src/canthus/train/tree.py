"""The fields of YAML files: read, changed by overrides `a.b=c`, and checked against a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from canthus.errors import RecipeError
from canthus.work.documents import parse_yaml, read_yaml

Checked = TypeVar("Checked", bound=BaseModel)


def read_tree(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Fields of a YAML file, not checked yet.

    Args:
        path: The file.
        overrides: Changes, as `override` takes them.

    Raises:
        RecipeError: no such file, not YAML, not a mapping, or an override that does not fit.
    """
    tree = read_yaml(path, RecipeError, "correct it; `canthus recipes` lists those of canthus")
    if not isinstance(tree, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of fields, not {type(tree).__name__}")
    for change in overrides:
        override(tree, change)
    return tree


def check(kind: type[Checked], tree: Mapping[str, Any], source: str) -> Checked:
    """Check fields against a model.

    Args:
        kind: The model.
        tree: The fields.
        source: Name of the file that errors name.

    Raises:
        RecipeError: an unknown or wrong field, named by its path.
    """
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise RecipeError("\n".join([f"{source}: the recipe has wrong fields:", *lines])) from error


def override(tree: dict[str, Any], change: str) -> None:
    """Set one field of a tree by "a.b=c", whose value is read as YAML.

    A number is an index of a list: "sets.0.weight=2".

    Raises:
        RecipeError: the change does not have that form, or the tree has no such field.
    """
    path, equals, value = change.partition("=")
    if not equals:
        raise RecipeError(f"--set {change}: a change has the form a.b=c, as optimiser.rate=1e-3")
    *parents, last = path.split(".")
    node: Any = tree
    new = parse_yaml(value, f"--set {change}", RecipeError, "put text with signs in quotes")
    try:
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        if isinstance(node, list):
            node[int(last)] = new
        else:
            node[last] = new
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise RecipeError(f"--set {change}: the recipe has no field {path}") from error
