"""The engine of a batch on Ray: actors of Ray Data on this machine or on a cluster. Nothing else of canthus knows Ray.

Each row of the data set is a part with the names of its pictures; each actor holds the networks, and answers with the
files of a part, which this process alone writes. So the machines need to see the pictures, but not the folder of the
results, and what is left of a run that was killed cannot write into those of the next one. Ray limits how far the
actors may be ahead of this process, starts actors again that have ended, and gives their parts to others.
"""

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from canthus.batch.inputs import Entry
from canthus.batch.plan import Part, Plan
from canthus.batch.setup import opened
from canthus.batch.workshop import FACES, Workshop
from canthus.errors import CanthusError, need
from canthus.formats.arrow import arrow
from canthus.work.crew import Report, cores, ignore
from canthus.work.files import replace_whole

STARTS = 2
"""How often an actor may begin with a part; where both have ended, it is given up."""


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise need("ray") from error
    return ray


class Cluster:
    """A connection to Ray; a context manager, which starts Ray on this machine where there is none."""

    def __init__(self, workers: int | None = None, address: str | None = None, gpus: float = 0.0) -> None:
        """Choose the machines.

        Args:
            workers: Number of actors; None = as many as there are cores, or as the GPUs take.
            address: Address of a cluster, as "auto" or "10.0.0.1:6379"; None = this machine alone.
            gpus: Share of a GPU that each actor takes, or number of GPUs; 0 = none.

        Raises:
            ExtraMissingError: Ray is not installed.
        """
        self._ray = _ray()
        self.workers, self.address, self.gpus = workers, address, gpus
        self._ours = False

    def __enter__(self) -> Self:
        """Connect to the cluster, or start Ray on this machine; a connection that the program has already is used.

        Raises:
            CanthusError: there is no cluster at the address.
        """
        if self._ray.is_initialized():
            return self
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells its makers otherwise
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what else fails becomes an error of Python
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            settings |= {"num_cpus": self.workers or cores(), "include_dashboard": False}
        first = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(address=self.address or "local", **settings)
        except (ConnectionError, ValueError, RuntimeError, ImportError) as error:
            reason = str(error).splitlines()[0]
            raise CanthusError(f"Ray cannot be reached at {self.address or 'this machine'}: {reason}") from error
        finally:
            if first:  # Ray has put a handler of its own in its place
                signal.signal(signal.SIGTERM, before)
        self._ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; Ray ends where it was started for this run."""
        if self._ours:
            self._ray.shutdown()
            self._ours = False

    def make(
        self, workshop: Workshop, plan: Plan, parts: Sequence[Part], report: Report
    ) -> Generator[tuple[Part, bool], None, None]:
        """Make parts; `run.Engine` explains it.

        Raises:
            CanthusError: a part cannot be made.
        """
        ray, known = self._ray, {part.name: part for part in parts}
        self._set_up()
        ledger = ray.remote(num_cpus=0)(Ledger).remote()
        gpus = {"num_gpus": self.gpus} if self.gpus else {}
        answers = ray.data.from_arrow_refs([ray.put(_row(part, plan.entries(part))) for part in parts]).map_batches(
            Maker,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(self._actors(), len(parts))),
            num_cpus=1,
            fn_constructor_args=(workshop, ledger),
            **gpus,
        )
        for batch in answers.iter_batches(batch_size=1, batch_format="pyarrow"):
            (answer,) = batch.to_pylist()
            if answer["error"]:
                raise CanthusError(answer["error"])
            if answer["made"]:
                _unpack(workshop.folder, answer["names"], answer["contents"])
                report(answer["frames"])
            yield known[answer["name"]], answer["made"]

    def _set_up(self) -> None:
        """Let Ray Data be silent: this program shows the progress and reports errors."""
        context = self._ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)

    def _actors(self) -> int:
        """Number of actors that the machines can hold at once."""
        there = self._ray.cluster_resources()
        room = int(there.get("GPU", 0) / self.gpus) if self.gpus else int(there.get("CPU", 1))
        if self.gpus and not room:
            raise CanthusError(f"Ray has {there.get('GPU', 0):g} GPUs, too few for --gpus {self.gpus:g}")
        return min(self.workers or room, max(room, 1))


class Ledger:
    """An actor that counts how often work on each part has begun: Ray itself would try forever."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}

    def begin(self, name: str) -> int:
        """Note that an actor begins with a part; returns how often this has happened."""
        self._begun[name] = self._begun.get(name, 0) + 1
        return self._begun[name]


class Maker:
    """An actor that makes parts; it holds the networks."""

    def __init__(self, workshop: Workshop, ledger: Any) -> None:
        """Load the networks.

        Args:
            workshop: Makes a part.
            ledger: Handle of the `Ledger`.
        """
        self._workshop, self._ledger, self._error = workshop, ledger, ""
        try:
            opened(workshop.setup, workshop.model)
        except CanthusError as error:  # as an answer: Ray would start the actor again
            self._error = str(error)

    def __call__(self, rows: Any) -> Iterator[Any]:
        """The answer for each row (`_row`)."""
        for row in rows.to_pylist():
            part = Part(row["number"], row["start"], row["stop"], row["piece"])
            entries = [Entry(os.fsdecode(path), at) for path, at in zip(row["paths"], row["rows"], strict=True)]
            if self._error or _ray().get(self._ledger.begin.remote(part.name)) > STARTS:
                yield _answer(part, made=False, error=self._error)
                continue
            with tempfile.TemporaryDirectory(prefix="canthus-batch-") as place:
                workshop = self._workshop.elsewhere(Path(place))
                try:
                    frames = workshop.make(part, entries, ignore)
                except CanthusError as error:
                    yield _answer(part, made=False, error=str(error))
                    continue
                yield _answer(part, made=True, frames=frames, files=_packed(Path(place)))


def _row(part: Part, entries: Sequence[Entry]) -> Any:
    """A part and its pictures as a table of pyarrow with one row."""
    pyarrow, _ = arrow()
    head = {"number": part.number, "start": part.start, "stop": part.stop, "piece": part.piece}
    paths, rows = [os.fsencode(entry.path) for entry in entries], [entry.row for entry in entries]
    return pyarrow.table(
        {name: [value] for name, value in head.items()}
        | {
            "paths": pyarrow.array([paths], pyarrow.list_(pyarrow.binary())),
            "rows": pyarrow.array([rows], pyarrow.list_(pyarrow.int64())),
        }
    )


def _answer(
    part: Part, *, made: bool, frames: int = 0, error: str = "", files: Mapping[str, bytes] | None = None
) -> Any:
    """What became of a part, and its files, as a table of pyarrow with one row."""
    pyarrow, _ = arrow()
    found = files or {}
    return pyarrow.table(
        {
            "name": [part.name],
            "made": [made],
            "frames": [frames],
            "error": [error],
            "names": pyarrow.array([[*found]], pyarrow.list_(pyarrow.string())),
            "contents": pyarrow.array([[*found.values()]], pyarrow.list_(pyarrow.large_binary())),
        }
    )


def _packed(folder: Path) -> dict[str, bytes]:
    """The content of all files below a folder by their paths, those that say that a part is finished at the end."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    files.sort(key=lambda path: (FACES in path.parts, path))
    return {path.as_posix(): (folder / path).read_bytes() for path in files}


def _unpack(folder: Path, names: Sequence[str], contents: Sequence[bytes]) -> None:
    """Write the files that an actor has packed, in their order.

    Raises:
        OutputError: one cannot be written.
    """
    for name, content in zip(names, contents, strict=True):
        with replace_whole(folder / name) as part:
            part.write_bytes(content)
