"""`canthus detect --scheme`: results in another landmark scheme, and what is told of the conversion."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from canthus.pipeline import Pipeline
from canthus.schemes.faces import conversion
from canthus.schemes.transfer import convert

PORTRAIT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Exit code of the command and what it said, in one line."""
    from canthus.cli import main

    monkeypatch.setattr(sys, "argv", ["canthus", "detect", str(PORTRAIT), *map(str, words)])
    with pytest.raises(SystemExit) as leave:
        main()
    return int(leave.value.code or 0), " ".join(" ".join(capfd.readouterr()).split())


def test_results_in_another_scheme(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, said = run(monkeypatch, capfd, "-o", tmp_path, "--scheme", "81", "--threads", 1)
    assert code == 0 and str(conversion("68", "81")) in said
    entry = json.loads((tmp_path / "astronaut.json").read_text())["images"][0]
    assert entry["scheme"] == "81"
    points = np.array(entry["faces"][0]["points"], np.float64)
    pipeline = Pipeline.open()
    plain = pipeline(str(PORTRAIT))
    np.testing.assert_allclose(points, convert(plain.points, "68", "81")[0], atol=0.02)
    np.testing.assert_allclose(points, pipeline.in_scheme("81")(str(PORTRAIT)).points[0], atol=0.02)


def test_the_own_scheme_and_an_unknown_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, said = run(monkeypatch, capfd, "-o", tmp_path, "--scheme", "68", "--threads", 1)
    assert code == 0 and "are exact" not in said
    code, said = run(monkeypatch, capfd, "-o", tmp_path / "no", "--scheme", "67", "--threads", 1)
    assert code == 3 and "no landmark scheme '67'" in said and not (tmp_path / "no").exists()
