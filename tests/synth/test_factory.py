import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.errors import DataError, OutputError
from canthus.synth.factory import CHUNK, Summary, produce
from canthus.synth.occlusion.covered import Copies
from canthus.synth.turn.profile import ProfileOptions
from canthus.synth.turn.turned import Views
from canthus.work.files import part_of

OPTIONS = ProfileOptions(size=64, spacing=6)


@pytest.fixture(scope="module")
def order(toy, studio):
    return Views(toy.path, studio.table, studio.folder, 36, 3, options=OPTIONS)


@pytest.fixture(scope="module")
def run(order, tmp_path_factory):
    """A run in one process."""
    out = tmp_path_factory.mktemp("sets") / "views" / "train"
    return out, produce(order, out)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_flat_histogram_and_an_index_of_what_is_there(run, studio):
    out, summary = run
    assert summary.azimuths == (2,) * 18 and summary.made == summary.wanted == 36
    index = np.load(out / "index.npz")
    before = np.load(studio.table)
    names = before["images"].tolist()
    sources = [names.index(name) for name in index["sources"]]
    assert index["identities"].tolist() == before["identities"][sources].tolist()
    turned = before["rotation"].astype(float)[sources]
    azimuth = np.rad2deg(np.arctan2(turned[:, 2, 0], turned[:, 2, 2]))
    assert index["azimuth"] == pytest.approx(azimuth + index["turn"], abs=1e-3)
    assert np.histogram(index["azimuth"], np.linspace(-90, 90, 19))[0].tolist() == [2] * 18
    for scheme, count in {"68": 68, "51": 51, "29": 29}.items():
        assert index[f"points_{scheme}"].shape == (36, count, 3)
        assert index[f"visible_{scheme}"].shape == (36, count)
    assert {index[name].dtype for name in ("points_68", "outline_68", "pose", "azimuth")} == {np.dtype(np.float32)}
    assert np.isfinite(index["outline_68"]).all((1, 2)).tolist() == (np.abs(index["azimuth"]) <= 60).tolist()
    for name in index["images"]:
        assert cv2.imread(str(out / str(name))).shape == (64, 64, 3)
    kept = {path.split("/")[0] for path in contents(out)}
    assert kept == {"images", "index.npz", "run.json", "summary.json", "sheet.png"}


def test_the_reader_reads_it(run):
    out, _ = run
    samples = open_set("views", out.parents[1], "train", scheme="29", labels="3d")
    assert len(samples) == 36
    assert samples[0].points.shape == (29, 3) and samples[0].picture().shape == (64, 64, 3)
    assert {sample.identity for sample in samples} <= set("abcdef")


def test_processes_do_not_change_the_result(run, order, tmp_path):
    told = []
    assert produce(order, tmp_path / "run", workers=2, tick=told.append) == run[1]
    assert sum(told) == 36
    assert contents(tmp_path / "run") == contents(run[0])


def test_a_killed_run_goes_on(run, order, tmp_path):
    def kill(_):
        raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        produce(order, out, tick=kill)
    first = list(out.rglob("*.jpg"))
    assert 0 < len(first) <= CHUNK and not (out / "index.npz").exists()
    times = {path: path.stat().st_mtime_ns for path in first}
    part_of(out / "images" / "000099.jpg").write_bytes(b"half")
    assert produce(order, out) == run[1]
    assert {path: path.stat().st_mtime_ns for path in first} == times
    assert contents(out) == contents(run[0])
    assert produce(order, out) == run[1]


def test_another_seed_is_another_set(run, order, tmp_path):
    produce(replace(order, seed=4), tmp_path / "run")
    assert (np.load(tmp_path / "run" / "index.npz")["turn"] != np.load(run[0] / "index.npz")["turn"]).any()


def test_a_folder_of_something_else_is_left_alone(run, order, tmp_path):
    before = contents(run[0])
    with pytest.raises(OutputError, match="holds a run with other settings"):
        produce(replace(order, seed=4), run[0])
    assert contents(run[0]) == before
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        produce(order, tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        produce(order, tmp_path / "mine.txt" / "run")


def test_what_is_refused_is_counted_and_made_up_for(studio, tmp_path):
    folder = tmp_path / "studio"
    shutil.copytree(studio.folder, folder)
    (folder / "images" / "03.png").write_bytes(b"broken")
    summary = produce(Copies(folder / "fits.npz", folder, 30, size=64), tmp_path / "run")
    assert summary.made == 30
    (reason,) = summary.rejected
    assert "N.png" in reason and summary.rejected[reason] >= 2
    assert summary.rejected_share == pytest.approx(summary.rejected[reason] / (30 + summary.rejected[reason]))
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["rejected"] == summary.rejected
    assert "images/03.png" not in np.load(tmp_path / "run" / "index.npz")["sources"]


def test_nothing_can_be_made(studio, tmp_path):
    with pytest.raises(DataError, match="none of the 5 pictures could be made"):
        produce(Copies(studio.table, studio.folder, 5, size=64, residual=0.0), tmp_path / "run")


def test_the_share_of_nothing():
    assert Summary(5, 0, {}, (0,) * 18).rejected_share == 0
