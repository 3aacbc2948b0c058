import json
import os

import pytest

from canthus.errors import CanthusError, InputError, OutputError
from canthus.work.jobs import claim, digest, spread


def test_a_folder_is_claimed_once_and_again(tmp_path):
    out = tmp_path / "a" / "run"
    for _ in range(2):
        claim(out, {"seed": 3, "kind": "x"})
    assert json.loads((out / "run.json").read_text()) == {"seed": 3, "kind": "x"}
    with pytest.raises(OutputError, match="holds a run with other settings"):
        claim(out, {"seed": 4, "kind": "x"})


def test_what_a_kill_left_goes(tmp_path):
    (tmp_path / ".run.part.json").write_text("{")
    claim(tmp_path, {})
    (tmp_path / ".001.part" / "annot").mkdir(parents=True)
    (tmp_path / ".001.part" / "annot" / ".000001.part.pts").write_text("half")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / ".1.part.jpg").write_text("half")
    (tmp_path / "images" / "1.jpg").write_text("whole")
    claim(tmp_path, {})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1.jpg", "images", "run.json"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        claim(tmp_path, {})
    with pytest.raises(OutputError, match="cannot be written"):
        claim(tmp_path / "mine.txt" / "run", {})


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    jobs = [(1.0 * at, 2.0) for at in range(5)]
    assert list(spread(pow, jobs, workers)) == [0, 1, 4, 9, 16]


def test_a_process_that_dies_is_told():
    with pytest.raises(CanthusError, match="a process was killed"):
        list(spread(os._exit, [(1,), (1,)], 2))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_through(workers):
    with pytest.raises(ZeroDivisionError):
        list(spread(divmod, [(1, 1), (1, 0)], workers))


def test_files_are_told_apart(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")
    with pytest.raises(InputError, match="cannot be read"):
        digest(tmp_path / "none")
