"""Damaged files of every class: only errors of canthus come out, in bounded time and memory.

This is the short attack of the suite; `scripts/fuzz` goes on for as long as one likes. The table is in
docs/reliability.md.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from canthus.errors import CanthusError, ShapeError
from canthus.formats.table import load
from canthus.types import as_boxes
from canthus.work.archive import read_arrays
from fuzz.attack import attacked, table
from fuzz.targets import TARGETS, Target
from fuzz.worker import MEMORY, Tally

INPUTS = {"points .pts": 200, "pictures": 150, "recipes": 60, "checkpoints": 60, "points .mat 7.3": 20}
"""Number of inputs of a class; 100 where it is not given."""
LAW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


@pytest.mark.parametrize("name", TARGETS)
def test_only_our_errors_come_out(name: str) -> None:
    tally = attacked(name, seed=0, seconds=60, most=INPUTS.get(name, 100))
    assert not tally.failures, table({name: tally})
    assert tally.tried >= 10
    assert tally.refused or name == "journals"  # whose damaged lines are dropped
    assert tally.memory < MEMORY


def test_an_attack_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another exception, an input without end, and a process that dies are found, and named with their number."""
    import fuzz.attack

    monkeypatch.setattr(fuzz.attack, "SILENCE", 1.0)
    monkeypatch.setattr(fuzz.attack, "attack", _attack)
    tally = attacked("points .pts", seed=0, seconds=60, most=5)
    whole = table({"points .pts": tally})
    assert tally.tried == 5
    assert "points .pts: ZeroDivisionError at" in whole and "(1)" in whole
    assert "the process ended with code 7: 1 inputs (2)" in whole
    assert "no answer in 1 s: 1 inputs (3)" in whole


def _attack(*words: Any) -> None:
    """`worker.attack`, with a reader that is wrong on its second to fourth input."""
    import os
    import time

    from fuzz import worker

    def run(path: Path) -> None:
        number = int(path.read_text())
        if number == 1:
            raise ZeroDivisionError
        if number == 2:
            os._exit(7)
        if number == 3:
            time.sleep(60)

    def seeds(folder: Path) -> list[Path]:
        (folder / "a").write_text("0")
        return [folder / "a"]

    numbered: Callable[..., Path] = lambda name, files, seed, number: _written(files[0][0], number)  # noqa: E731
    worker.prepare = numbered
    worker.TARGETS[words[1]] = Target(seeds, run)
    worker.attack(*words)


def _written(path: Path, number: int) -> Path:
    path.write_text(str(number))
    return path


def test_a_tally_adds_up() -> None:
    one, other = Tally(2, 1, {"a": [1]}, 0.5, 10), Tally(3, 0, {"a": [4], "b": [5]}, 0.25, 20)
    one.add(other)
    assert (one.tried, one.refused, one.seconds, one.memory) == (5, 1, 0.5, 20)
    assert one.failures == {"a": [1, 4], "b": [5]}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=4), below, max_size=3),
    max_leaves=8,
)
faces = st.fixed_dictionaries(
    {"points": values | st.lists(st.lists(values, min_size=2, max_size=3), max_size=3)},
    optional=dict.fromkeys(("box", "scores", "confidence", "pose", "occluded", "raw", "view", "identity"), values),
)
images = st.fixed_dictionaries(
    {"image": values, "faces": values | st.lists(faces, max_size=2)},
    optional=dict.fromkeys(("width", "height", "scheme"), values),
)


@LAW
@given(tree=st.fixed_dictionaries({"images": st.lists(images, max_size=2)}) | values)
def test_any_json_is_faces_or_an_error(tmp_path: Path, tree: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(tree))
    with np.errstate(all="raise"):
        _loads(path)


@LAW
@given(cells=st.lists(st.lists(st.text(max_size=6) | st.floats().map(str), min_size=1, max_size=5), max_size=4))
def test_any_table_is_faces_or_an_error(tmp_path: Path, cells: list[list[str]]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join(["image,face,x0,y0,scheme", *map(",".join, cells)]).encode("utf-8", "surrogatepass"))
    _loads(path)


@LAW
@given(points=arrays(np.float64, array_shapes(max_dims=4, max_side=3)))
def test_any_array_is_faces_or_an_error(tmp_path: Path, points: np.ndarray) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, points=points)
    np.testing.assert_array_equal(read_arrays(path)["points"], points)
    _loads(path)


@pytest.mark.parametrize("boxes", [[[1, 2, 3, 4], [5, 6]], [["a", 2, 3, 4]], [[None, 1, 2, 3]], [[10**400, 1, 2, 3]]])
def test_boxes_of_something_else(boxes: Any) -> None:
    with pytest.raises(ShapeError):
        as_boxes(boxes)


@given(boxes=arrays(np.float64, array_shapes(max_dims=3, max_side=5)))
def test_any_array_is_boxes_or_an_error(boxes: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        try:
            found = as_boxes(boxes)
        except CanthusError:
            return
    assert found.shape[1:] == (4,) and np.isfinite(found).all() and (found[:, 2:] > found[:, :2]).all()


def _loads(path: Path) -> None:
    """Records, or an error that names the file."""
    try:
        for record in load(path):
            assert isinstance(record.image, str) and not np.isinf(record.points).any()
    except CanthusError as error:
        assert path.name in str(error)
