from pathlib import Path

import pytest

from canthus.errors import RecipeError
from canthus.train.detection.recipe import load_run
from canthus.train.recipe import load_recipe

SMALL = """
name: small
sets: [{name: wild68}]
val: [{name: wild68, split: val}]
phases: [{share: 0.25, size: 32}, {share: 0.75, size: 64}]
steps: 100
optimiser: {rate: 1e-3}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


def test_numbers_like_1e_3_are_numbers(path: Path) -> None:
    assert load_recipe(path).optimiser.rate == 0.001


def test_overrides(path: Path) -> None:
    recipe = load_recipe(path, ["optimiser.rate=2e-3", "sets.0.weight=3", "augment.flip=0", "config={size: 64}"])
    assert recipe.optimiser.rate == 0.002
    assert recipe.sets[0].weight == 3
    assert recipe.augment.flip == 0
    assert recipe.config == {"size": 64}


def test_sizes_over_the_run(path: Path) -> None:
    recipe = load_recipe(path)
    assert [recipe.size_at(step) for step in (0, 24, 25, 99, 100)] == [32, 32, 64, 64, 64]


def test_learning_rates_over_the_run(path: Path) -> None:
    cosine = load_recipe(path, ["steps=100", "optimiser.warmup=0.1"])
    assert cosine.rate_at(0) == pytest.approx(0.1)
    assert cosine.rate_at(10) == pytest.approx(1)
    assert cosine.rate_at(55) == pytest.approx(0.5)
    assert cosine.rate_at(100) == pytest.approx(0)
    drops = "optimiser.drops=[{share: 0.3, factor: 0.5}, {share: 0.35, factor: 0.1}]"
    stepped = load_recipe(path, ["steps=100", "optimiser.warmup=0", drops])
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
        ("val=[{name: wild68}, {name: wild68, split: val}]", "val: two sets have the same name"),
    ],
)
def test_wrong_fields_are_named(path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, [override])


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml: cannot read"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(RecipeError, match="mapping of fields"):
        load_recipe(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(RecipeError, match="not valid YAML"):
        load_recipe(tmp_path / "broken.yaml")


def test_the_recipes_that_ship_hold() -> None:
    found = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    recipes = [path for path in found if "\nrows:" not in path.read_text()]  # ablations: test_plan.py
    assert recipes
    for recipe in recipes:
        load_run(recipe)
