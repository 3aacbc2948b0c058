"""Files of strangers run no code: nothing is unpickled."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.data.catalogue import open_set
from canthus.data.lp300w import read_aflw2000
from canthus.errors import CanthusError
from canthus.evaluate.run import load_peers
from canthus.evaluate.table import Table, load_table
from canthus.face3d.morphable import MorphableModel
from canthus.face3d.rigid import RigidFace
from canthus.formats.table import load
from canthus.schemes.scheme import Scheme
from canthus.synth.faces import open_views
from canthus.train.checkpoint import read_checkpoint
from canthus.train.detection.mining import _pieces
from canthus.work.arrays import load_arrays

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
FORBIDDEN = {
    "another reader of .npz and .npy than canthus.work.archive": r"np\.load\b|numpy\.load\b",
    "pickle": r"\bc?[pP]ickle\.(loads?|Unpickler)|import (dill|cloudpickle|joblib|marshal|shelve)|read_pickle",
    "pickle in arrays": r"allow_pickle\s*=\s*True",
    "a checkpoint with code": r"weights_only\s*=\s*(False|None)|torch\.load\((?!.*weights_only=True)|torch\.jit\.load",
    "YAML with code": r"yaml\.(unsafe_load|full_load|load_all|UnsafeLoader|FullLoader|Loader\b)",
    "code": r"(?<![\w.])(eval|exec)\(",
}
ALLOWED = {"pickle": {"work/crew.py"}}
"""work/crew.py: what one process of a run sends to another."""


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_source_reads_it(what: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix().removeprefix("src/canthus/")
        for path in SOURCES
        if re.search(FORBIDDEN[what], path.read_text())
    }
    assert found <= ALLOWED.get(what, set())


class Evil:
    """Makes a file when it is unpickled."""

    mark = ""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({self.mark!r}, 'w')",)


READERS: dict[str, Callable[[Path], object]] = {
    "points": load,
    "table": lambda path: load_table(path, Scheme.open("68")),
    "peers": lambda path: load_peers(path, Table(np.zeros((1, 68, 2), np.float32))),
    "arrays": lambda path: load_arrays(path, "damaged", "restore it"),
    "model": MorphableModel.open,
    "mean": RigidFace.open,
    "mined": lambda path: _pieces((path,)),
    "views": lambda path: open_set("views:v", path.parent, "."),
    "fits": lambda path: open_set("fits:v", path.parent, "index"),
    "run of views": lambda path: open_views(path.parent / "v"),
    "scenes": lambda path: open_set("300vw:s", path.parent, "synth"),
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_of_arrays_runs_code(reader: str, tmp_path: Path) -> None:
    Evil.mark = str(tmp_path / "hurt")
    path, names = tmp_path / "a.npz", ("points", "names", "mean", "pieces", "images", "identities", "pose", "azimuth")
    np.savez(path, **{name: np.array([Evil()], object) for name in names})
    for place in ("v/index.npz", "s/001/annot3d.npz"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(path.read_bytes())
    (tmp_path / "s" / "001" / "vid.avi").touch()
    with pytest.raises(CanthusError, match=r"(?s)\.npz.*objects"):
        READERS[reader](path)
    assert not (tmp_path / "hurt").exists()


def test_no_plain_array_or_checkpoint_runs_code(tmp_path: Path) -> None:
    Evil.mark = str(tmp_path / "hurt")
    for name in ("a.jpg", "a.mat"):
        (tmp_path / name).touch()
    np.save(tmp_path / "AFLW2000-3D.pose.npy", np.array([Evil()], object))
    with pytest.raises(CanthusError, match=r"pose\.npy: .*objects"):
        read_aflw2000(tmp_path, "test", yaw="fitted")
    torch.save({"state_dict": Evil()}, tmp_path / "zip.ckpt")
    torch.save({"state_dict": Evil()}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.ckpt").write_bytes(pickle.dumps(Evil()))
    for name in ("zip", "old", "bare"):
        with pytest.raises(CanthusError, match=rf"{name}\.ckpt: not a checkpoint"):
            read_checkpoint(tmp_path / f"{name}.ckpt")
    assert not (tmp_path / "hurt").exists()
