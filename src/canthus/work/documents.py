"""JSON, YAML and CSV files of any origin: whatever is wrong with one becomes an error that names the file."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from canthus.errors import InputError

LONGEST = 1 << 18
"""Largest size of a YAML text, in characters; PyYAML reads about 100,000 of them per second."""
DEEPEST = 60
"""Largest depth of lists and mappings within each other in a YAML text."""
MOST = 100_000
"""Largest number of values of a YAML text after its aliases are replaced by what they stand for."""


def read_json(path: Path, kind: type[InputError], remedy: str) -> Any:
    """The content of a JSON file.

    Args:
        path: The file.
        kind: Type of the error.
        remedy: What the error advises.

    Raises:
        InputError: of the given kind: the file cannot be read, or is not JSON.
    """
    text = _text(path, kind, remedy)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise kind(f"{path}:{error.lineno}: not JSON: {error.msg}; {remedy}") from error
    except RecursionError as error:
        raise kind(f"{path}: its lists and objects are nested too deeply; {remedy}") from error
    except ValueError as error:
        raise kind(f"{path}: a number has more digits than Python reads; {remedy}") from error
    except MemoryError as error:
        raise kind(f"{path}: too little memory to read it; {remedy}") from error


def read_rows(path: Path, kind: type[InputError], remedy: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file that have cells, each with the number of its line, from 1; the rest as for `read_json`."""
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            for row in rows:
                line = rows.line_num
                if row:
                    yield line, row
    except csv.Error as error:
        raise kind(f"{path}:{line + 1}: {error}; a quotation mark may lack its partner: {remedy}") from error
    except UnicodeDecodeError as error:
        raise kind(f"{path}: not a text file in UTF-8; {remedy}") from error
    except OSError as error:
        raise kind(f"{path}: cannot be read: {error.strerror or error}; {remedy}") from error


def read_yaml(path: Path, kind: type[InputError], remedy: str) -> Any:
    """The content of a YAML file; arguments and errors as of `read_json`."""
    return parse_yaml(_text(path, kind, remedy), str(path), kind, remedy)


def parse_yaml(text: str, place: str, kind: type[InputError], remedy: str) -> Any:
    """The content of a YAML text that was read at `place`, which errors name; the rest as for `read_json`."""
    if len(text) > LONGEST:
        raise kind(f"{place}: has {len(text):,} characters, more than {LONGEST:,}; {remedy}")
    try:
        tree = yaml.load(text, _Loader)
        _check(tree)
    except RecursionError as error:
        raise kind(f"{place}: its lists and mappings are nested too deeply; {remedy}") from error
    except Exception as error:  # beside its own errors PyYAML raises those of dates, numbers and bytes
        raise kind(f"{place}: not valid YAML: {error}; {remedy}") from error
    return tree


class _Loader(yaml.SafeLoader):
    """Reads dates as text, since recipes have none, and bounds the number of fields that merge keys (<<) copy."""

    copied = depth = 0
    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [(tag, form) for tag, form in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Read a value; the depth of values within values is bounded."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise RecursionError
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Replace merge keys by the fields that they stand for."""
        super().flatten_mapping(node)
        self.copied += len(node.value)
        if self.copied > MOST:
            raise ValueError(f"its merge keys stand for more than {MOST:,} fields")


def _check(tree: Any) -> None:
    """Refuse a tree of more than `MOST` values, as of aliases within aliases, and values that JSON does not have."""
    waiting, count = [tree], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise ValueError(f"the name of a field is text, not {wrong[0]!r}; put it in quotes")
            value = list(value.values())
        if isinstance(value, list):
            count += len(value)
            if count > MOST:
                raise ValueError(f"its aliases stand for more than {MOST:,} values")
            waiting.extend(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"a number is {value}, not finite")
        elif not isinstance(value, str | int | float | None):
            raise ValueError(f"a value is text, a number, a list or a mapping, not a {type(value).__name__}")


def _text(path: Path, kind: type[InputError], remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise kind(f"{path}: not a text file in UTF-8; {remedy}") from error
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error or "too little memory"
        raise kind(f"{path}: cannot be read: {reason}; {remedy}") from error
