"""The page of all fields of recipes, made from the models that check them and their docstrings."""

import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from canthus.nets.losses import Losses
from canthus.nets.systems import SYSTEMS
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe
from canthus.train.recipe import Recipe, Run, recipe_of

HEAD = """\
# Fields of recipes

A recipe is a YAML file for `canthus train`. `canthus recipes` lists those of canthus, `canthus recipes default -o
mine.yaml` copies one to change it, and `--set optimiser.rate=1e-3` changes a field for one run. An unknown or wrong
field is an error that names it.

`then` is a list of later stages: each has the fields that differ from those of the stage before, whose best checkpoint
it starts from (its last one with `from: last`). Mappings are merged, lists are replaced.

This page is made by `canthus recipes --fields`.
"""


def page() -> str:
    """All fields of all kinds of recipes, as Markdown."""
    kinds: dict[str, type[BaseModel]] = {
        "Every run": Run,
        "Networks of landmarks": Recipe,
        "The detector": DetectorRecipe,
        "The face score": FaceScoreRecipe,
    }
    done: set[str] = set()
    parts = [HEAD]
    for title, kind in kinds.items():
        parts.append(_table(title, kind, skip=() if kind is Run else tuple(Run.model_fields)))
        parts += _nested(kind, done)
    for system in SYSTEMS:
        losses = recipe_of(system, "").model_fields["losses"].annotation
        assert isinstance(losses, type)
        if losses.__name__ not in done:
            parts.append(_table(f"Further fields of `losses` of {system}", losses, skip=tuple(Losses.model_fields)))
            done.add(losses.__name__)
    return "\n".join(parts)


def _nested(kind: type[BaseModel], done: set[str]) -> Iterator[str]:
    """Tables of the models that the fields of a model have, each once."""
    for name, field in kind.model_fields.items():
        for model in _models(field.annotation):
            if model.__name__ not in done:
                done.add(model.__name__)
                yield _table(f"`{name}`", model, skip=())
                yield from _nested(model, done)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _table(title: str, kind: type[BaseModel], skip: tuple[str, ...]) -> str:
    """Heading, first sentence and table of the fields of a model."""
    texts = {name: text.replace("None =", "`null` =") for name, text in attributes(kind.__doc__ or "").items()}
    first = (kind.__doc__ or "").strip().splitlines()[0]
    rows = [
        f"| `{name}` | {_default(field)} | {texts[name]} |"
        for name, field in kind.model_fields.items()
        if name not in skip or name in texts
    ]
    return "\n".join([f"## {title}\n", f"{first}\n", "| field | default | meaning |", "|---|---|---|", *rows, ""])


def _default(field: FieldInfo) -> str:
    """Default of a field: "required", a value, or empty where it is a model or a list of its own."""
    if field.is_required():
        return "required"
    value = field.default if field.default_factory is None else field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or value is PydanticUndefined:
        return ""
    if value is None or value == "":
        return "`null`" if value is None else "empty"
    return f"`{value}`"


def attributes(docstring: str) -> dict[str, str]:
    """The texts of the section "Attributes" of a docstring by name."""
    section = docstring.partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if match := re.match(r" {8}(\w+): (.*)", line):
            name, found[match[1]] = match[1], match[2].strip()
        elif name and line.strip():
            found[name] += f" {line.strip()}"
        else:
            name = ""
    return {key: text.replace("|", "\\|") for key, text in found.items()}
