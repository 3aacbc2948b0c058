"""The engine on Ray: the same tables as of any other engine. `benchmarks/batch_kills.py` kills actors and driver."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from batches import Here
from canthus.batch import cluster as module
from canthus.batch.cluster import STARTS, Cluster, Ledger, Maker
from canthus.batch.inputs import Entry
from canthus.batch.plan import Part
from canthus.batch.run import Request, run
from canthus.batch.setup import Setup
from canthus.batch.workshop import Workshop
from canthus.errors import CanthusError, ExtraMissingError

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
SETUP = Setup(detector="none", passes=1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if not os.environ.get("CANTHUS_RAY"):
        pytest.skip("starting Ray takes 20 s of processor time; CANTHUS_RAY=1 runs this")
    before = dict(os.environ)
    with Cluster(1) as engine:
        yield engine
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


def test_the_same_tables_as_by_processes(cluster: Cluster, photos: Path, tmp_path: Path) -> None:
    """With overlays, a damaged picture, and a second run that finds everything finished."""
    import ray

    steps: list[int] = []
    request = Request((str(photos),), tmp_path / "ray", SETUP, overlay=True)
    summary = run(request, cluster, lambda progress: steps.append(progress.done))
    assert (summary.pictures, summary.faces, summary.failed, summary.progress.frames) == (39, 39, 1, 40)
    assert sorted(steps) == steps and steps[-1] == 40
    run(Request((str(photos),), tmp_path / "here", SETUP, overlay=True), Here())
    for table in ("faces", "pictures"):
        assert parquet.read_table(tmp_path / "ray" / table).equals(parquet.read_table(tmp_path / "here" / table))
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "here")
    assert run(request, cluster).progress.resumed == 40
    with Cluster() as another:  # the connection that is there
        assert another._actors() == 1
    assert ray.is_initialized()
    with pytest.raises(CanthusError, match=r"Ray has 0 GPUs, too few for --gpus 0\.5"):
        Cluster(gpus=0.5)._actors()


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("part-*") if path.is_file()}


class Remote:
    """A `Ledger` as its handle is used."""

    def __init__(self) -> None:
        self.ledger = Ledger()

    @property
    def begin(self) -> Any:
        return self

    def remote(self, name: str) -> int:
        return self.ledger.begin(name)


class Local:
    """What an actor needs of Ray."""

    @staticmethod
    def get(value: int) -> int:
        return value


@pytest.fixture
def row(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "_ray", Local)
    entries = [Entry(str(file)) for file in sorted(photos.rglob("*.png"))[:3]]
    return module._row(Part(4, 64, 67), entries)


def test_an_actor_gives_up_a_part_that_was_begun_too_often(row: Any, tmp_path: Path) -> None:
    """Its files travel without their folder, the table of faces last; nothing is written where it works."""
    maker = Maker(Workshop(tmp_path, SETUP, SETUP.model_hash), Remote())
    answers = [answer for _ in range(STARTS + 1) for answer in maker(row)]
    made = [answer.to_pylist()[0] for answer in answers]
    assert [answer["made"] for answer in made] == [True] * STARTS + [False]
    assert made[0] == made[1] and made[0]["frames"] == 3
    assert made[0]["names"] == ["pictures/part-000004.parquet", "faces/part-000004.parquet"]
    assert not list(tmp_path.iterdir())
    module._unpack(tmp_path, made[0]["names"], made[0]["contents"])
    np.testing.assert_array_equal(parquet.read_table(tmp_path / "faces")["picture"], [64, 65, 66])


def test_an_actor_without_its_model_says_so(row: Any, tmp_path: Path) -> None:
    (answer,) = Maker(Workshop(tmp_path, Setup(model=tmp_path / "gone.canthus"), "hash"), Remote())(row)
    assert "gone.canthus: no such model bundle" in answer["error"][0].as_py()
    assert not answer["made"][0].as_py()


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'canthus\[ray\]'"):
        Cluster()
