"""Recipes of several stages: each later stage starts from the stage before and changes some fields of its recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from canthus.errors import RecipeError
from canthus.train.detection.recipe import RECIPES
from canthus.train.recipe import Run, check_recipe, check_run
from canthus.train.tree import override, read_tree

THEN, FROM = "then", "from"
"""Field with the later stages, and the field of a stage that names the checkpoint it starts from."""
CHECKPOINTS = {"best": "best.ckpt", "last": "last.ckpt"}


@dataclass(frozen=True)
class Stage:
    """One run of a recipe.

    Attributes:
        recipe: What is trained.
        folder: Folder of the run.
    """

    recipe: Run
    folder: Path


def load_stages(path: Path, out: Path, overrides: Sequence[str] = ()) -> list[Stage]:
    """Read a recipe of any network.

    A recipe may have a field `then`, a list of later stages. Each has the fields that differ from those of the stage
    before it; mappings are merged, lists are replaced. A later stage starts from the best checkpoint of the stage
    before, or from its last one with `from: last`.

    Args:
        path: A YAML file.
        out: Folder of the run; with several stages their runs are in its subfolders "1", "2", ...
        overrides: Changes "a.b=c" of every stage, as `recipe.override` takes them.

    Returns:
        The stages in order, every field checked.

    Raises:
        RecipeError: no such file, not YAML, an unknown or wrong field (named by its path).
    """
    tree = read_tree(path)
    later = tree.pop(THEN, [])
    if not isinstance(later, list) or not all(isinstance(fields, dict) for fields in later):
        raise RecipeError(f"{path}: {THEN}: a list of stages, each with the fields that differ from the stage before")
    trees, folders = [tree], [out / str(number + 1) if later else out for number in range(len(later) + 1)]
    for fields, before in zip(later, folders, strict=False):
        kind = str(fields.pop(FROM, "best"))
        if kind not in CHECKPOINTS:
            raise RecipeError(f"{path}: {THEN}: {FROM}: a stage starts from `best` or `last`, not {kind!r}")
        start = [{"checkpoint": str(before / CHECKPOINTS[kind])}]
        trees.append({**merged(trees[-1], fields), "start": start})
    for one in trees:
        for change in overrides:
            override(one, change)
    return [Stage(check_any(one, str(path)), folder) for one, folder in zip(trees, folders, strict=True)]


def merged(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields with changes; mappings are merged, all other values replaced."""
    result = dict(fields)
    for name, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = merged(result[name], value) if both else value
    return result


def check_any(tree: Mapping[str, Any], source: str) -> Run:
    """Check the fields of a recipe of any network.

    Raises:
        RecipeError: an unknown or wrong field, named by its path.
    """
    network = str(tree.get("network"))
    return check_run(RECIPES[network], tree, source) if network in RECIPES else check_recipe(tree, source)
