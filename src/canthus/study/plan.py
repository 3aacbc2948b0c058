"""The plan of an ablation: one recipe, rows that change fields of it, and what each run is measured on."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from canthus.errors import RecipeError
from canthus.nets.decode import Reading
from canthus.nets.settings import Number, Strict
from canthus.recipes import find
from canthus.train.recipe import Recipe, check_recipe
from canthus.train.stages import merged
from canthus.train.tree import check, override, read_tree


class Measure(Strict):
    """A column of the table.

    Attributes:
        name: Head of the column.
        set: Name of the set in the catalogue.
        split: Split of the set.
        options: Options of the reader of the set.
        normaliser: Distance that errors are divided by: "inter-ocular", or "box" = sqrt(w h) of the labels.
        depth: Stage after which the system stops; None = all stages.
        follow: Follow each video frame by frame from the box of its first face; missing labels are interpolated.
        limit: Largest number of faces, evenly spread over the set, or of first frames of each video; None = all.
        points: Points that are measured: "all", those labelled as "visible" or as "hidden", or those of a group of the
            scheme, as "inner" or "mouth".
        after: Folders of the rows, or bundles, whose networks find the points that the network starts from, in order,
            beginning with the box; none = it starts from the true box and points.
        given: Options that read the points by which a `starter` finds the first face.
        starter: Folder of the row whose run starts each video; None = the same run.
        disturbed: Whether the boxes are turned by up to 45 degrees, scaled by .75 to 1.25 and shifted by up to 8 % of
            the crop, the same for every row (multi_view, section IV-A).
        displaced: Share s of the longer side by which boxes, and with them the points that a network starts from, are
            off: moved by it in a random direction and scaled by 1 - s to 1 + s, the same for every row.
        read: Reading of heatmaps in place of that of the network: "argmax", "quarter" or "expectation".
    """

    name: str
    set: str
    split: str = "test"
    options: dict[str, str] = Field({})
    normaliser: Literal["inter-ocular", "box"] = "inter-ocular"
    depth: int | None = Field(None, ge=1)
    follow: bool = False
    limit: int | None = Field(None, ge=1)
    points: str = "all"
    after: list[str] = Field([])
    given: dict[str, str] = Field({})
    starter: str | None = None
    disturbed: bool = False
    displaced: Number = Field(0.0, ge=0, lt=1)
    read: Reading | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.follow and (self.points != "all" or self.after):
            raise ValueError(
                "some points, and stages after others, are measured in single pictures; leave out `follow`"
            )
        if self.follow and (self.disturbed or self.displaced):
            raise ValueError(
                "a video starts from one box, which is not disturbed; leave out `disturbed` and `displaced`"
            )
        return self


class Row(Strict):
    """A row of the table.

    Attributes:
        name: Head of the row.
        set: Fields of the recipe that differ, nested or as "a.b".
        of: Row whose runs this one measures, instead of training its own.
        depth: Stage after which the system stops, for all measures.
        against: Row that the gain is relative to; None = the row before.
        starter: Earlier row whose run finds the first face of each video that this one follows (element D6).
        earlier: Fields of the recipe, of which those in `set` are not changed, for a network that is trained first and
            runs the stages before those of this row.
        after: Rows without `after`, or bundles of one network, whose networks run the stages before those of this row,
            in order; it is measured from what they find, and a row that is trained may learn from it (`real`).
        recipe: Recipe of which a row is made, a name or a file, below the common fields and those of `set`.
        paper: Figure of the paper for the first measure, or by the name of the measure; per cent.
    """

    name: str
    set: dict[str, Any] = Field({})
    of: str | None = None
    depth: int | None = Field(None, ge=1)
    against: str | None = None
    starter: str | None = None
    earlier: dict[str, Any] = Field({})
    after: list[str] = Field([])
    recipe: str | None = None
    paper: Number | dict[str, Number] | None = None


class Ablation(Strict):
    """A study of what each part of a system is worth.

    Attributes:
        name: Name of the study.
        paper: Table of a paper that it repeats.
        recipe: Fields of the recipe that all runs share.
        seeds: Seeds; every row is trained once with each.
        rows: Rows, in the order of the table.
        measures: Columns of the table.
    """

    name: str
    paper: str = ""
    recipe: dict[str, Any] = Field({})
    seeds: list[int] = Field([1, 2], min_length=1)
    rows: list[Row] = Field(min_length=1)
    measures: list[Measure] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one occurs twice; its runs would be the same")
        return self

    def row(self, name: str) -> Row:
        """A row by its name."""
        return next(row for row in self.rows if row.name == name)

    def base(self, row: Row) -> Row | None:
        """The row that the gain of another one is relative to; None for the first row."""
        if row.against is not None:
            return self.row(row.against)
        place = self.rows.index(row)
        return self.rows[place - 1] if place else None

    def paper_figure(self, row: Row, measure: Measure) -> float | None:
        """Figure of the paper, per cent; None = there is none."""
        if isinstance(row.paper, dict):
            return row.paper.get(measure.name)
        return row.paper if measure is self.measures[0] else None


CHECKPOINT = "last.ckpt"
"""The checkpoint that is measured: the end of the run, so that nothing was chosen by a validation set."""


@dataclass(frozen=True)
class Trial:
    """One run of an ablation: a row with a seed.

    Attributes:
        row: Name of the row that is trained.
        recipe: Recipe with its seed.
        folder: Folder of the run.
        measures: What the run is measured on; each with the depth at which the system stops.
    """

    row: str
    recipe: Recipe
    folder: Path
    measures: tuple[Measure, ...]


def load_ablation(path: Path, overrides: Sequence[str] = ()) -> Ablation:
    """Read an ablation; the recipe of every row is checked.

    Args:
        path: A YAML file.
        overrides: Fields to change, as "recipe.steps=100".

    Raises:
        RecipeError: a field is unknown or wrong, or a row names another one that does not exist.
    """
    ablation = check(Ablation, read_tree(path, overrides), str(path))
    _check_names(ablation, path)
    for row in (row for row in ablation.rows if row.of is None):
        recipe_of(ablation, row, ablation.seeds[0], str(path))
        if row.earlier:
            recipe_of(ablation, first_of(row), ablation.seeds[0], str(path))
    return ablation


def first_of(row: Row) -> Row:
    """The network that is trained before that of a row, as a row."""
    return Row(name=f"{row.name}, stages before", set=row.earlier)


def _check_names(ablation: Ablation, path: Path) -> None:
    names = [row.name for row in ablation.rows]
    columns = [measure.name for measure in ablation.measures]
    for kind, some in (("rows", [slug(name) for name in names]), ("measures", columns)):
        if twice := {name for name in some if some.count(name) > 1}:
            raise RecipeError(f"{path}: {kind}: these names occur twice: {', '.join(sorted(twice))}")
    for place, row in enumerate(ablation.rows):
        for field in ("of", "against", "starter"):
            other = getattr(row, field)
            if other is not None and (other not in names or other == row.name):
                raise RecipeError(f"{path}: rows.{place}.{field}: no other row is called {other!r}")
        if row.of is not None and (row.set or row.earlier or row.recipe or ablation.row(row.of).of is not None):
            raise RecipeError(
                f"{path}: rows.{place}: `of` must name a row that is trained, and goes without `set`, `earlier` and"
                " `recipe`"
            )
        others = [ablation.row(other) for other in row.after if other in names]
        if row.after and (row.earlier or any(other.of or other.after for other in others)):
            raise RecipeError(
                f"{path}: rows.{place}.after: names rows that are trained without `after`, and goes without `earlier`"
            )
        if row.depth is not None and any(measure.depth is not None for measure in ablation.measures):
            raise RecipeError(f"{path}: rows.{place}.depth: a measure has a depth as well; give it in one of the two")
        if isinstance(row.paper, dict) and (unknown := set(row.paper) - set(columns)):
            raise RecipeError(f"{path}: rows.{place}.paper: no measure is called {', '.join(sorted(unknown))}")


def recipe_of(ablation: Ablation, row: Row, seed: int, source: str) -> Recipe:
    """The recipe of a row that is trained.

    Raises:
        RecipeError: a field is wrong; the message names the row.
    """
    tree = {} if row.recipe is None else read_tree(find(row.recipe))
    tree = merged(tree, json.loads(json.dumps(ablation.recipe)))
    for field, value in _leaves(row.set):
        override(tree, f"{field}={json.dumps(value)}")  # JSON is YAML
    name = f"{ablation.name}_{slug(row.name)}"
    recipe = check_recipe({"name": name, **tree, "seed": seed}, f"{source}: row {row.name!r}")
    if recipe.processes > 1:
        raise RecipeError(
            f"{source}: processes: an ablation takes one process for each run; use --workers for several runs at once"
        )
    if recipe.steps % recipe.validate_every:
        raise RecipeError(
            f"{source}: row {row.name!r}: steps ({recipe.steps}) must be a multiple of validate_every "
            f"({recipe.validate_every}), so that the last checkpoint is the end of the run"
        )
    return recipe


def _leaves(fields: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths of nested fields."""
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def slug(name: str) -> str:
    """The name of a folder for a name: sigmoid_5 for "+ sigmoid (5)"."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def measures_of(ablation: Ablation, row: Row) -> list[Measure]:
    """The measures of a row, each with the depth at which its system stops and the row that starts its videos."""
    depth = {} if row.depth is None else {"depth": row.depth}
    starter = {} if row.starter is None else {"starter": slug(row.starter)}
    names = [one.name for one in ablation.rows]
    after = {"after": [slug(name) if name in names else name for name in row.after]} if row.after else {}
    return [
        measure.model_copy(update=depth | after | (starter if measure.follow else {})) for measure in ablation.measures
    ]


def _before(out: Path, ablation: Ablation, name: str, seed: int) -> Path:
    """Checkpoint of a row, or the bundle of this name."""
    rows = [row for row in ablation.rows if row.name == name]
    return folder_of(out, ablation, rows[0], seed) / CHECKPOINT if rows else Path(name)


def folder_of(out: Path, ablation: Ablation, row: Row, seed: int) -> Path:
    """Folder of the run that a row measures."""
    return out / slug(row.of or row.name) / str(seed)


def trials_of(ablation: Ablation, out: Path, only: Sequence[str] = ()) -> list[Trial]:
    """The runs that a table needs, all rows of the first seed first.

    Args:
        ablation: The plan.
        out: Folder of the study.
        only: Names of rows, or of their folders; empty = all.

    Raises:
        RecipeError: there is no row of such a name.
    """
    wanted = [row for row in ablation.rows if not only or {row.name, slug(row.name)} & set(only)]
    known = {name for row in ablation.rows for name in (row.name, slug(row.name))}
    if missing := [name for name in only if name not in known]:
        rows = ", ".join(repr(row.name) for row in ablation.rows)
        raise RecipeError(f"no row is called {', '.join(missing)}; there are {rows}")
    runs = []
    for seed in ablation.seeds:
        for name in dict.fromkeys(row.of or row.name for row in wanted):
            users = [row for row in wanted if name in (row.name, row.of)]
            measures = [measure for row in users for measure in measures_of(ablation, row)]
            distinct = tuple({measure.model_dump_json(): measure for measure in measures}.values())
            row = ablation.row(name)
            recipe = recipe_of(ablation, row, seed, ablation.name)
            if row.earlier:
                first = first_of(row)
                folder = folder_of(out, ablation, first, seed)
                runs.append(Trial(first.name, recipe_of(ablation, first, seed, ablation.name), folder, ()))
                recipe = recipe.model_copy(update={"earlier": [folder / CHECKPOINT]})
            elif row.after:
                recipe = recipe.model_copy(
                    update={"earlier": [_before(out, ablation, name, seed) for name in row.after]}
                )
            runs.append(Trial(name, recipe, folder_of(out, ablation, row, seed), distinct))
    return runs
