"""`canthus evaluate --tracks`: a table of tracks against labels of its video, some or all frames."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from canthus import cli
from canthus.errors import DataError, SchemeError
from canthus.evaluate.video.files import score_files
from canthus.formats import pts
from canthus.formats.record import Record
from canthus.formats.tracks import table
from canthus.formats.tracks.moment import Moment
from canthus.types import Faces

TRUTH = np.random.default_rng(2).uniform(0, 80, (68, 2)) + 60 + np.arange(30)[:, None, None] * [1.0, 0.5]
"""A face that moves uniformly. Shape (30, 68, 2)."""


def faces(points: np.ndarray, number: int) -> Faces:
    rows = points[None].astype(np.float32)
    box = np.concatenate([rows.min(1), rows.max(1)], 1)
    return Faces(rows, box, np.ones((1, 68), np.float32), np.ones(1, np.float32), scheme="68", identity=[number])  # type: ignore[arg-type]


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """Exact but for 2 pixels in frame 4, not seen in frames 10 to 14, with another number afterwards."""
    moments = []
    for at, points in enumerate(TRUTH):
        found = faces(points + 2 * (at == 4), 1 if at < 10 else 2)
        shown = found[:0] if 10 <= at < 15 else found
        moments.append(Moment(at, at / 10, shown, ("tracked",) * len(shown)))
    table.dump(tmp_path / "tracks.csv", moments)
    return tmp_path / "tracks.csv"


def labels(folder: Path, frames: range) -> Path:
    folder.mkdir()
    for at in frames:
        pts.dump(folder / f"{at + 1:06d}.pts", [Record("", TRUTH[at])])
    return folder


def test_every_frame(tracked: Path, tmp_path: Path) -> None:
    truth, out = labels(tmp_path / "annot", range(30)), tmp_path / "out.json"
    command = ["evaluate", "--tracks", str(tracked.parent), "--truth", str(truth), "--json", str(out)]
    result = CliRunner().invoke(cli.app, command)
    assert result.exit_code == 0, result.output
    assert "diagonal" in result.output and "changes of identity" in result.output
    found = json.loads(out.read_text())
    assert (found["frames"], found["switches"], found["lost"], found["regained"]) == (30, 1, 1, 0)
    assert found["failure_rate"] == pytest.approx(5 / 30) and found["longest"] == pytest.approx(0.5)
    diagonal = np.hypot(*np.ptp(TRUTH[0], axis=0))
    assert found["error"] == pytest.approx(2 * np.sqrt(2) / diagonal / 25, rel=1e-3)


def test_sparse_labels_of_uniform_motion_give_the_same_figures(tracked: Path, tmp_path: Path) -> None:
    every = score_files(tracked, labels(tmp_path / "annot", range(30)))
    some = score_files(tracked, labels(tmp_path / "sparse", range(0, 30, 29)))
    np.testing.assert_allclose(some.errors, every.errors, atol=1e-5)
    part = score_files(tracked, labels(tmp_path / "part", range(5, 9)))
    assert len(part.errors) == 4, "frames before the first label and after the last are not scored"


def test_labels_without_names_are_those_of_all_frames(tracked: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "truth.npz", points=TRUTH.astype(np.float32))
    found = score_files(tracked, tmp_path / "truth.npz", "300vw-category1")
    eyes = np.hypot(*(TRUTH[0, 36] - TRUTH[0, 45]))
    assert found.protocol.normaliser == "inter-ocular"
    assert found.error == pytest.approx(2 * np.sqrt(2) / eyes / 25, rel=1e-3)


def test_what_does_not_fit_is_named(tracked: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "truth.npz", points=np.zeros((30, 21, 2), np.float32))
    with pytest.raises(SchemeError, match="68"):
        score_files(tracked, tmp_path / "truth.npz")
    twice = labels(tmp_path / "twice", range(3))
    (twice / "000003.pts").rename(twice / "b000002.pts")
    with pytest.raises(DataError, match="same frame"):
        score_files(tracked, twice)
    (twice / "b000002.pts").rename(twice / "face.pts")
    with pytest.raises(DataError, match="does not end in the number"):
        score_files(tracked, twice)
    table.dump(tmp_path / "none.csv", [Moment(0, 0.0, faces(TRUTH[0], 1)[:0], ())])
    with pytest.raises(DataError, match="no face was tracked"):
        score_files(tmp_path / "none.csv", labels(tmp_path / "annot", range(3)))
    result = CliRunner().invoke(cli.app, ["evaluate", "--tracks", str(tracked)])
    assert result.exit_code == 2 and "needs --truth" in result.output


def test_a_label_far_beyond_the_end_of_the_table_is_named(tracked: Path, tmp_path: Path) -> None:
    truth = labels(tmp_path / "annot", range(30))
    pts.dump(truth / "clip_20240131123000.pts", [Record("", TRUTH[0])])
    with pytest.raises(DataError, match=r"clip_20240131123000.*ends at frame 30; rename"):
        score_files(tracked, truth)
    (truth / "clip_20240131123000.pts").rename(truth / "000300.pts")
    assert len(score_files(tracked, truth).errors) == 300
    (truth / "000300.pts").rename(truth / "000301.pts")
    with pytest.raises(DataError, match="frame 301"):
        score_files(tracked, truth)


def test_figures_are_not_written_over_the_tracks(tracked: Path, tmp_path: Path) -> None:
    truth, before = labels(tmp_path / "annot", range(30)), tracked.read_bytes()
    for given in (tracked, tracked.parent):
        command = ["evaluate", "--tracks", str(given), "--truth", str(truth), "--json", str(tracked)]
        result = CliRunner().invoke(cli.app, command)
        assert result.exit_code == 2 and "overwrite" in result.output
    assert tracked.read_bytes() == before
