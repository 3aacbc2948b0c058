"""The recipes of canthus: YAML files for `canthus train` and `canthus ablate`, found by name or by path."""

from pathlib import Path

from canthus.errors import RecipeError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of the recipes in the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(recipe: str | Path) -> Path:
    """The file of a recipe.

    Args:
        recipe: A YAML file, or the name of a recipe in the package, as "default".

    Raises:
        RecipeError: the package has no recipe of that name.
    """
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") or len(path.parts) != 1:
        return path
    if str(recipe) not in names():
        raise RecipeError(f"no recipe is called {str(recipe)!r}; give a YAML file, or one of {', '.join(names())}")
    return FOLDER / f"{recipe}.yaml"


def summary(name: str) -> str:
    """First sentence of the comment at the top of a recipe in the package."""
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    head = " ".join(
        line.removeprefix("#").strip()
        for line in lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]
    )
    return head.partition(". ")[0].rstrip(".")
