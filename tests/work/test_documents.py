"""JSON, YAML and CSV files of any origin."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.errors import RecipeError
from canthus.work.documents import parse_yaml, read_json, read_rows, read_yaml

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=12,
)


@given(tree=plain)
def test_json_is_yaml(tree: Any) -> None:
    text = json.dumps(tree).replace("\\/", "/")
    assert json.dumps(parse_yaml(text, "a", RecipeError, "correct it"), sort_keys=True) == json.dumps(
        json.loads(text), sort_keys=True
    ) or any(sign in text for sign in ("e", "E"))  # YAML 1.1 reads 1e5 as text


@given(text=st.text() | st.text(alphabet="[]{}:,-&*!|>'\"%@`?#\n ab0:1.eE+"))
def test_any_text_is_a_tree_or_an_error_of_ours(text: str) -> None:
    try:
        tree = parse_yaml(text, "a.yaml", RecipeError, "correct it")
    except RecipeError as error:
        assert str(error).startswith("a.yaml: ") and "correct it" in str(error)
    else:
        json.dumps(tree)


LAUGHS = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{chr(98 + step)}: &{chr(98 + step)} {{k{step}: *{chr(97 + step)}, l{step}: *{chr(97 + step)}}}\n"
    for step in range(20)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + step)}: &{chr(98 + step)} {{<<: [{', '.join([f'*{chr(97 + step)}'] * 8)}]}}\n" for step in range(9)
)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: caf\xe9", "not a text file in UTF-8"),
        (b"a: [1", "not valid YAML"),
        (b"a: @b", "not valid YAML"),
        (b"[" * 1500, "nested too deeply"),
        (b"- " * 3000, "nested too deeply"),
        (b"a: " + b"x" * 300_000, "characters, more than"),
        (LAUGHS.encode(), "aliases stand for more than 100,000 values"),
        (b"a: &a [*a]", "aliases stand for more than"),
        (b"1: a", "the name of a field is text, not 1"),
        (b"? [a, b]\n: c", "not valid YAML"),
        (b"a: !!binary eA==", "not a bytes"),
        (b"a: !!set {x}", "not a set"),
        (b"a: !!timestamp 2020-13-45", "not valid YAML"),
        (b"a: !!python/object:os.system x", "not valid YAML"),
        (b"a: .nan", "a number is nan, not finite"),
        (b"a: [.inf]", "a number is inf, not finite"),
        (b"a: " + b"9" * 5000, "not valid YAML"),
    ],
)
def test_what_no_yaml_file_may_hold(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=rf"(?s)a\.yaml: .*{says}.*; correct it"):
        read_yaml(path, RecipeError, "correct it")


def test_merge_keys_within_merge_keys_are_bounded() -> None:
    """PyYAML before 6.0.4 makes 8 ** 9 fields of these."""
    try:
        tree = parse_yaml(MERGES, "a.yaml", RecipeError, "correct it")
    except RecipeError as error:
        assert "merge keys stand for more than 100,000 fields" in str(error)
    else:
        assert tree["j"] == {"x": 1}


def test_a_date_is_text_and_aliases_stay(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("day: 2020-13-45\na: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    tree = read_yaml(tmp_path / "a.yaml", RecipeError, "correct it")
    assert tree == {"day": "2020-13-45", "a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", r"a\.json:1: not JSON: "),
        (b'["\xe9"]', r"a\.json: not a text file in UTF-8"),
        (b"[" * 200_000, r"a\.json: its lists and objects are nested too deeply"),
        (b'{"a":' * 100_000, r"a\.json: its lists and objects are nested too deeply"),
        (b"9" * 5000, r"a\.json: a number has more digits"),
    ],
)
def test_what_is_no_json(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RecipeError, match=f"{says}.*; restore it"):
        read_json(tmp_path / "a.json", RecipeError, "restore it")


def test_rows_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('\ufeffa,b\n\n"x\ny",1\nz,2\n', encoding="utf-8")
    assert list(read_rows(path, RecipeError, "")) == [(1, ["a", "b"]), (4, ["x\ny", "1"]), (5, ["z", "2"])]
    for content, says in (
        (b"a,b\n" + b"x" * 131_073, r"a\.csv:2: field larger than field limit \(131072\); a quotation mark"),
        (b"a,b\n\xe9,1\n", r"a\.csv: not a text file in UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(RecipeError, match=f"{says}.*restore it"):
            list(read_rows(path, RecipeError, "restore it"))


@pytest.mark.parametrize("reader", [read_json, read_yaml, lambda *words: list(read_rows(*words))])
def test_a_missing_file(tmp_path: Path, reader: Any) -> None:
    for name in ("none", ""):
        with pytest.raises(RecipeError, match=r"cannot be read: .*; restore it"):
            reader(tmp_path / name, RecipeError, "restore it")
