"""The card of a training run: all that is needed to repeat it, and the part of it that goes into a bundle."""

import hashlib
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from canthus.data.catalogue import folder_of
from canthus.errors import InputError
from canthus.train.recipe import Run, SetShare
from canthus.work.files import replace_whole

CARD = "card.json"
"""Name of the card in the folder of a run."""
KIN = ("start", "earlier", "teacher")
"""Fields of a card with the cards of other runs."""
PACKAGES = ("canthus", "torch", "lightning", "numpy", "opencv-python-headless")
"""Packages whose versions a card records."""
_COPY = "copy it again from the folder of the run"


class Session(BaseModel):
    """One start of the training command on a run.

    Attributes:
        commit: Commit of the code, with a plus sign if files differ from it.
        first_step: Number of steps that the run had when it started.
        minutes: Duration; None = it was interrupted, or has not ended.
        last: Validation results at its end, by name.
    """

    model_config = ConfigDict(extra="forbid")
    commit: str
    first_step: int
    minutes: float | None = None
    last: dict[str, float] = {}


class RunCard(BaseModel):
    """All that is needed to repeat a run. It is written at the start of the run and again at its end.

    Attributes:
        recipe: The recipe, with overrides applied.
        scheme: Name of the landmark scheme of the network.
        arrays: Hash of `arrays.npz` beside the card; None = the network has no arrays.
        faces: Facts about the training faces, from which export derives the limits of a model.
        command: Command line of the run.
        packages: Version of each package.
        python: Version of Python.
        machine: Processor, number of cores, accelerator.
        data: Hash of the labels of each set; None where they are not one file.
        sessions: Starts of the training command on the run, in order.
        start: Cards of the runs whose weights this one started from; None where a card was lost.
        earlier: Cards of the runs of the earlier stages; None where a card was lost.
        teacher: Card of the run of the teacher; None where it was lost, empty without a teacher.
    """

    model_config = ConfigDict(extra="forbid")
    recipe: dict[str, Any]
    scheme: str
    arrays: str | None = None
    faces: dict[str, float] = {}
    command: list[str]
    packages: dict[str, str]
    python: str
    machine: dict[str, Any]
    data: dict[str, str | None]
    sessions: list[Session]
    start: list["RunCard | None"] = []
    earlier: list["RunCard | None"] = []
    teacher: list["RunCard | None"] = []

    @classmethod
    def beside(cls, checkpoint: Path) -> "RunCard":
        """The card of the run that a checkpoint comes from.

        Raises:
            InputError: the checkpoint or its card does not exist, or this version of canthus cannot read the card.
        """
        path = checkpoint.parent / CARD
        for file in (checkpoint, path):
            if not file.is_file():
                raise InputError(f"{file} does not exist; `canthus train` writes checkpoints with a {CARD} beside them")
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: damaged: {error}; {_COPY}") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}; {_COPY}") from error
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "json_invalid":
                raise InputError(f"{path}: damaged: {first['msg']}; {_COPY}") from error
            where = ".".join(map(str, first["loc"]))
            raise InputError(
                f"{path}: written by another version of canthus: {where}: {first['msg']};"
                " use that version, or train again with this one"
            ) from error

    @classmethod
    def of(cls, recipe: Run, root: Path, scheme: str, faces: dict[str, float], arrays: str | None) -> "RunCard":
        """The card of a run that starts now, without sessions."""
        return cls(
            recipe=recipe.model_dump(mode="json"),
            scheme=scheme,
            arrays=arrays,
            faces=faces,
            command=sys.argv,
            packages={name: version(name) for name in PACKAGES},
            python=platform.python_version(),
            machine={"processor": _processor(), "cores": os.cpu_count(), "accelerator": recipe.accelerator},
            data={f"{share.name} {share.split}": _hash(root, share) for share in recipe.sets},
            sessions=[],
            start=[_beside(start.checkpoint) for start in recipe.start],
            earlier=[_beside(path) for path in getattr(recipe, "earlier", [])],
            teacher=[_beside(teacher.checkpoint)] if (teacher := getattr(recipe, "teacher", None)) else [],
        )

    @property
    def minutes(self) -> float | None:
        """Total duration of the sessions that ended; None = the run has not reached its end."""
        if not self.sessions or self.sessions[-1].minutes is None:
            return None
        return sum(session.minutes or 0.0 for session in self.sessions)

    def write(self, folder: Path) -> None:
        """Write the card into the folder of the run.

        Raises:
            OutputError: the card cannot be written.
        """
        with replace_whole(folder / CARD) as part:
            part.write_text(self.model_dump_json(indent=2), encoding="utf-8")

    def lineage(self) -> dict[str, Any]:
        """The part of the card that goes into a bundle, with the same of the runs that this one started from.

        Of absolute paths in the recipe, the folder and the name of the file are left: others have no use for the rest.
        """
        kept = self.model_dump(mode="json", include={"recipe", "packages", "machine", "sessions", "faces"})
        kin = {name: [card and card.lineage() for card in getattr(self, name)] for name in KIN}
        return kept | {"recipe": _shortened(kept["recipe"])} | {name: cards for name, cards in kin.items() if cards}


def _shortened(value: Any) -> Any:
    """JSON with the last two parts of each absolute path."""
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    return "/".join(Path(value).parts[-2:]) if isinstance(value, str) and Path(value).is_absolute() else value


def _beside(checkpoint: Path) -> RunCard | None:
    """The card of an earlier run; None where it was lost."""
    return RunCard.beside(checkpoint) if (checkpoint.parent / CARD).is_file() else None


def is_finished(folder: Path) -> bool:
    """Whether the folder holds a run that has reached its end."""
    best = folder / "best.ckpt"
    return (folder / CARD).is_file() and best.is_file() and RunCard.beside(best).minutes is not None


def commit() -> str:
    """Commit of this code, with a plus sign if files differ from it; "unknown" outside a git checkout."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _hash(root: Path, share: SetShare) -> str | None:
    """Hash of the file of the labels of a set; None where they are not one file."""
    folder, split = folder_of(share.name, root), share.split.partition("/")[0]
    files = [path for path in (folder / f"{split}.csv", folder / split / "index.npz") if path.is_file()]
    return hashlib.sha256(files[0].read_bytes()).hexdigest() if files else None
