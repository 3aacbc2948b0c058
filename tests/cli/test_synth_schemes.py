"""`canthus synth schemes` from arguments to files and exit codes."""

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from canthus.cli.synth import app
from canthus.errors import InputError


def run(*arguments):
    return CliRunner().invoke(app, ["schemes", *map(str, arguments)])


@pytest.fixture
def made(tmp_path, rng):
    """A run of one picture from the front."""
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((64, 64, 3), 99, np.uint8))
    arrays = {"images": np.array(["images/a.png"]), "sources": np.array(["a"]), "identities": np.array(["x"])}
    arrays |= {"pose": np.zeros((1, 3)), "error": np.zeros(1), "azimuth": np.zeros(1)}
    arrays |= {"points_68": rng.uniform(5, 60, (1, 68, 3)), "visible_68": np.ones((1, 68), bool)}
    np.savez(tmp_path / "index.npz", **arrays)
    return tmp_path


def test_a_sheet(made):
    out = made / "sheet.png"
    result = run(made, "-o", out, "--azimuths", "0", "--schemes", "68,51")
    assert result.exit_code == 0, result.output
    assert "2 schemes, 1 azimuths" in result.output
    assert cv2.imread(str(out)).shape == (960, 480, 3)
    result = run(made, "-o", out)
    assert result.exit_code == 1
    assert "5 at 80: no picture" in result.output


def test_wrong_usage_and_errors(made):
    assert run(made, "-o", made / "sheet.jpg").exit_code == 2
    assert run(made, "-o", made / "sheet.png", "--azimuths", "front").exit_code == 2
    assert isinstance(run(made / "images", "-o", made / "sheet.png").exception, InputError)
    assert not (made / "sheet.png").exists()
