"""`canthus evaluate` does not write over the files that it reads."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from canthus import cli
from canthus.errors import InputError
from canthus.evaluate.table import load_table
from canthus.formats import csv
from canthus.formats.record import Record


@pytest.fixture
def folder(tmp_path: Path, make_faces) -> Path:
    """Truth as truth.npz; predictions as mine.npz, and as a table that a report could overwrite."""
    truth = make_faces(6).astype(np.float32)
    np.savez(tmp_path / "truth.npz", points=truth, images=[f"{index}.jpg" for index in range(6)])
    np.savez(tmp_path / "mine.npz", points=truth + 1, images=[f"{index}.jpg" for index in range(6)])
    (tmp_path / "out").mkdir()
    csv.dump(tmp_path / "out" / "faces.csv", [Record(f"{at}.jpg", points) for at, points in enumerate(truth)])
    return tmp_path


def run(folder: Path, *more: str | Path, predictions: str = "mine.npz"):
    given = ["evaluate", "--truth", folder / "truth.npz", "--predictions", folder / predictions, *more]
    return CliRunner().invoke(cli.app, list(map(str, given)))


@pytest.mark.parametrize("name", ["truth.npz", "mine.npz", "link"])
@pytest.mark.parametrize("option", ["--json", "--report"])
def test_figures_are_not_written_over_points(folder, option, name):
    (folder / "link").symlink_to(folder / "mine.npz")
    before = (folder / name).read_bytes()
    result = run(folder, option, folder / name)
    assert result.exit_code == 2 and "overwrite" in result.output
    assert (folder / name).read_bytes() == before and not list(folder.glob("*.json"))


@pytest.mark.parametrize("predictions", ["out/faces.csv", "out"])
def test_a_report_is_not_written_over_the_table_that_it_is_about(folder, predictions):
    before = (folder / "out" / "faces.csv").read_bytes()
    result = run(folder, "--report", folder / "out", predictions=predictions)
    assert result.exit_code == 2 and "overwrite" in result.output
    assert [path.name for path in (folder / "out").iterdir()] == ["faces.csv"]
    assert (folder / "out" / "faces.csv").read_bytes() == before


def test_older_figures_are_replaced(folder):
    for _ in range(2):
        result = run(folder, "--json", folder / "figures.json", predictions="out/faces.csv")
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["nope", "nope.csv", "nope.pts"])
def test_a_file_that_does_not_exist_is_said_not_to(tmp_path, scheme, name):
    with pytest.raises(InputError, match=f"{name}: cannot be read: No such file"):
        load_table(tmp_path / name, scheme)
