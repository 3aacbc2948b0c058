"""`canthus batch` from its arguments to its tables and exit code."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from pyarrow import parquet

from command import run


def test_a_run_with_a_damaged_picture(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (48, 48, 3)).astype(np.uint8)
    assert cv2.imwrite(str(tmp_path / "in" / "good.png"), cv2.GaussianBlur(noise, (0, 0), 5))
    (tmp_path / "in" / "bad.png").write_text("no picture")
    words = ["batch", tmp_path / "in", "-o", tmp_path / "out", "--workers", "1", "--detector", "none", "--scheme", "51"]
    assert run(*words) == 1
    said = " ".join(capfd.readouterr().err.split())
    for part in (
        "error of the conversion" if "conversion" in said else "51",
        "pictures 1",
        "failed 1 pictures, all listed in",
    ):
        assert part in said
    assert f"{tmp_path}/in/bad.png: " in said
    (row,) = parquet.read_table(tmp_path / "out" / "faces").to_pylist()
    assert (row["scheme"], len(row["points"]), row["picture"]) == ("51", 51, 1)
    assert run(*words) == 1
    assert "2 of 2 by an earlier run" in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize(
    "words", [["--gpus", "0.5"], ["--address", "auto"], ["--detector", "dogs"], ["--workers", "0"]]
)
def test_wrong_usage(words: list[str], tmp_path: Path) -> None:
    assert run("batch", tmp_path, "-o", tmp_path / "out", *words) == 2
    assert not (tmp_path / "out").exists()


def test_nothing_to_do(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("batch", tmp_path, "-o", tmp_path / "out") == 3
    assert f"canthus: {tmp_path}: no picture or video found" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
