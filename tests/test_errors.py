import tomllib
from pathlib import Path

import pytest

from canthus import errors
from canthus.errors import EXTRAS, CanthusError, ExtraMissingError, need

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


def test_every_error_is_one_of_ours() -> None:
    assert len(KINDS) > 8
    assert all(issubclass(kind, CanthusError) for kind in KINDS)


@pytest.mark.parametrize(
    ("name", "also"), [("ShapeError", ValueError), ("SchemeError", ValueError), ("ExtraMissingError", ImportError)]
)
def test_errors_that_python_code_may_already_catch(name: str, also: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), also)


def test_wrong_files_are_input_errors() -> None:
    for name in ("ReadError", "FormatError", "DataError", "BundleError", "RecipeError"):
        assert issubclass(getattr(errors, name), errors.InputError)
    assert not issubclass(errors.OutputError, errors.InputError)


def test_the_extras_are_those_of_the_package() -> None:
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - {"dev"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_missing_extra_tells_the_command(extra: str) -> None:
    error = need(extra)
    assert isinstance(error, ExtraMissingError)
    assert f"pip install 'canthus[{extra}]'" in str(error)
    wants_torch = any(line.startswith("torch>") for line in PROJECT["optional-dependencies"][extra])
    assert ("torch==" in str(error)) == wants_torch


def test_an_extra_that_does_not_exist() -> None:
    with pytest.raises(KeyError):
        need("everything")
