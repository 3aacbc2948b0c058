"""`canthus synth pairs` from arguments to files and exit codes."""

import numpy as np
import pytest
from typer.testing import CliRunner

from canthus.cli.synth import app
from canthus.errors import InputError
from canthus.synth.pairs import read_pairs


def run(*arguments):
    return CliRunner().invoke(app, ["pairs", *map(str, arguments)])


@pytest.fixture
def table(tmp_path, rng):
    """Four faces of a table, in 68 and 84 points."""
    arrays = {"images": np.array(list("abcd")), "identities": np.array(list("xxyz")), "scheme": np.array("68")}
    arrays |= {"pose": np.zeros((4, 3)), "error": np.zeros(4), "rotation": np.tile(np.eye(3), (4, 1, 1))}
    for name, count in {"68": 68, "84": 84}.items():
        arrays[f"points_{name}"] = rng.normal(size=(4, count, 3))
        arrays[f"visible_{name}"] = np.ones((4, count), bool)
    np.savez(tmp_path / "fits.npz", **arrays)
    return tmp_path / "fits.npz"


def test_pairs(table):
    out = table.with_name("pairs.npz")
    result = run(table, table, "--source", "84", "--target", "68", "-o", out)
    assert result.exit_code == 0, result.output
    assert "8 faces (4 + 4) of 3 identities, 84 to 68" in result.output
    assert read_pairs(out).source.shape == (8, 84, 3)


def test_wrong_usage_and_errors(table):
    out = table.with_name("pairs.npz")
    assert run(table, "-o", table.with_name("pairs.csv")).exit_code == 2
    assert run(table, "-o", out, "--min-azimuth", "91").exit_code == 2
    assert "no points of scheme '81'" in str(run(table, "-o", out).exception)
    assert isinstance(run(table, "--source", "84:outline", "--target", "68", "-o", out).exception, InputError)
    assert not out.exists()
