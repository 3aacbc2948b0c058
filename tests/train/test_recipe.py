import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from canthus.errors import RecipeError
from canthus.nets.systems import SYSTEMS
from canthus.recipes import find, names
from canthus.train.recipe import Recipe, check_recipe
from canthus.train.stages import load_stages
from canthus.work.documents import parse_yaml

SMALL = """
name: small
sets: [{name: wild68}]
val: [{name: wild68, split: val}]
phases: [{share: 0.25, size: 32}, {share: 0.75, size: 64}]
steps: 100
optimiser: {rate: 1e-3}
"""


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    (stage,) = load_stages(path, Path("runs"), overrides)
    assert isinstance(stage.recipe, Recipe)
    return stage.recipe


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


def test_numbers_like_1e_3_are_numbers(path: Path) -> None:
    assert load(path).optimiser.rate == 0.001


def test_overrides(path: Path) -> None:
    recipe = load(path, ["optimiser.rate=2e-3", "sets.0.weight=3", "augment.flip=0", "config={size: 64}"])
    assert recipe.optimiser.rate == 0.002
    assert recipe.sets[0].weight == 3
    assert recipe.augment.flip == 0
    assert recipe.config == {"size": 64}


def test_sizes_over_the_run(path: Path) -> None:
    recipe = load(path)
    assert [recipe.size_at(step) for step in (0, 24, 25, 99, 100)] == [32, 32, 64, 64, 64]


def test_learning_rates_over_the_run(path: Path) -> None:
    cosine = load(path, ["steps=100", "optimiser.warmup=0.1"])
    assert cosine.rate_at(0) == pytest.approx(0.1)
    assert cosine.rate_at(10) == pytest.approx(1)
    assert cosine.rate_at(55) == pytest.approx(0.5)
    assert cosine.rate_at(100) == pytest.approx(0)
    drops = "optimiser.drops=[{share: 0.3, factor: 0.5}, {share: 0.35, factor: 0.1}]"
    stepped = load(path, ["steps=100", "optimiser.warmup=0", drops])
    assert [stepped.rate_at(step) for step in (0, 29, 30, 34, 35, 99)] == [1, 1, 0.5, 0.5, 0.1, 0.1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.speed=3", r"optimiser\.speed"),
        ("sets.4.weight=3", "no field sets.4.weight"),
        ("steps=-1", "steps"),
        ("steps", r"has the form a\.b=c"),
        ("phases=[{share: 0.5, size: 32}]", "add up to 0.5"),
        ("phases=[{share: 1, size: 33}]", r"phases\.0\.size"),
        ("network=telepathy", "network"),
        ("name=@y", r"--set name=@y: not valid YAML: .*; put text with signs in quotes"),
        ("seed=!!timestamp 2020-13-45", "--set seed=.*: not valid YAML"),
        ("config.width=1" + "0" * 5000, "--set config.width=.*: not valid YAML"),
        ("optimiser.rate=1e400", r"optimiser\.rate: Input should be a finite number"),
        ("optimiser.rate=.nan", "not finite"),
        ("name=" + "[" * 1500, "nested too deeply"),
        ("val=[{name: wild68}, {name: wild68, split: val}]", "val: two sets have the same name"),
    ],
)
def test_wrong_fields_are_named(path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        load(path, [override])


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml: cannot be read"):
        load(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(RecipeError, match="mapping of fields"):
        load(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(RecipeError, match="not valid YAML"):
        load(tmp_path / "broken.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(RecipeError, match=r"latin\.yaml: not a text file in UTF-8"):
        load(tmp_path / "latin.yaml")
    (tmp_path / "day.yaml").write_text(SMALL.replace("name: small", "name: 2020-13-45"))
    assert load(tmp_path / "day.yaml").name == "2020-13-45"


def test_the_recipes_that_ship_hold() -> None:
    recipes = [path for path in map(find, names()) if "\nrows:" not in path.read_text()]  # ablations: test_plan.py
    assert recipes
    for recipe in recipes:
        load_stages(recipe, Path("runs"))


def test_a_later_stage_changes_fields_of_the_one_before(path: Path) -> None:
    """Mappings are merged, lists replaced; overrides hold for every stage."""
    path.write_text(
        SMALL
        + """
then:
  - {optimiser: {ema: 0.9}, phases: [{share: 1, size: 96}], seed: 3}
  - {from: last, optimiser: {rate: 2e-3}}
"""
    )
    first, second, third = load_stages(path, Path("out"), ["steps=50"])
    assert [stage.folder for stage in (first, second, third)] == [Path("out/1"), Path("out/2"), Path("out/3")]
    assert [stage.recipe.steps for stage in (first, second, third)] == [50, 50, 50]
    assert [stage.recipe.optimiser.rate for stage in (first, second, third)] == [0.001, 0.001, 0.002]
    assert [stage.recipe.optimiser.ema for stage in (first, second, third)] == [0.998, 0.9, 0.9]
    assert [len(stage.recipe.phases) for stage in (first, second, third)] == [2, 1, 1]
    assert [stage.recipe.seed for stage in (first, second, third)] == [0, 3, 3]
    assert [[start.checkpoint for start in stage.recipe.start] for stage in (first, second, third)] == [
        [],
        [Path("out/1/best.ckpt")],
        [Path("out/2/last.ckpt")],
    ]


@pytest.mark.parametrize(
    ("then", "message"),
    [("3", "then: a list of stages"), ("[3]", "then: a list of stages"), ("[{from: first}]", "not 'first'")],
)
def test_wrong_stages_are_named(path: Path, then: str, message: str) -> None:
    path.write_text(f"{SMALL}then: {then}\n")
    with pytest.raises(RecipeError, match=message):
        load_stages(path, Path("out"))


@pytest.mark.parametrize("stem", sorted(SYSTEMS))
def test_recipes_of_every_system_are_pickled(stem: str) -> None:
    """An ablation sends them to its processes; also those whose losses have fields of their own."""
    recipe = check_recipe({**parse_yaml(SMALL, "small", RecipeError, ""), "network": stem}, "small")
    again = pickle.loads(pickle.dumps(recipe))
    assert again == recipe and type(again) is type(recipe)
