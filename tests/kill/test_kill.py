"""Commands are ended by signals at random moments and resumed, as often as `CANTHUS_KILLS` says.

After each signal every visible file is whole; when the command has come to its end, the results are, byte for byte,
those of a run that nobody disturbed. `scripts/kill` does this often and prints a table.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from canthus.formats.table import load
from canthus.formats.tracks.table import load as load_tracks
from canthus.train.recipe import Recipe
from canthus.work.files import PART
from films import av, film

KILLS = {"detect": 3, "track": 2, "profile": 1, "train": 0}
"""Number of signals sent to each command where nothing else is asked for."""
ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def asked(verb: str) -> int:
    """How often to end a command: `CANTHUS_KILLS` is as "detect=100 train=20"."""
    given = dict(word.split("=") for word in os.environ.get("CANTHUS_KILLS", "").split())
    count = int(given.get(verb, 0 if given else KILLS[verb]))
    return count or pytest.skip("scripts/kill runs it")


@dataclass
class Command:
    """A command that can be repeated until it comes to its end.

    Attributes:
        words: Arguments of canthus.
        again: Arguments that are added where the folder exists.
        out: Folder of the results.
        whole: Fails where a file is not whole.
        differs: Beginnings of the names of files that differ from run to run.
        content: What is compared of a file.
    """

    words: list[str]
    again: list[str]
    out: Path
    whole: Callable[[Path], object]
    differs: tuple[str, ...] = ()
    content: Callable[[Path], bytes] = Path.read_bytes
    codes: Counter[str] = field(default_factory=Counter)

    def start(self) -> "subprocess.Popen[bytes]":
        words = [*self.words, *(self.again if self.out.exists() else [])]
        return subprocess.Popen(
            [sys.executable, "-m", "canthus", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # who runs in the background ignores it
        )

    def finish(self) -> float:
        """Run to the end; returns the seconds it took."""
        start = time.monotonic()
        with self.start() as process:
            _, said = process.communicate()
        assert process.returncode == 0, said.decode()
        return time.monotonic() - start

    def visible(self) -> Iterator[Path]:
        inside = ((path, path.relative_to(self.out).parts) for path in self.out.rglob("*") if path.is_file())
        return (path for path, parts in inside if not any(part.startswith(".") for part in parts))

    def results(self) -> dict[str, bytes]:
        found = {path.relative_to(self.out).as_posix(): self.content(path) for path in self.visible()}
        return {name: data for name, data in found.items() if not name.startswith(self.differs)}

    def end(self, number: signal.Signals, moment: float) -> bool:
        """Start it and send a signal after some seconds; False where it came to its end before."""
        with self.start() as process:
            try:
                _, said = process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                process.send_signal(number)
                _, said = process.communicate()
        code = process.returncode
        assert code in (0, -number, 128 + number), said.decode()  # -number: before the command listens
        self.codes[f"{number.name} {code}"] += code != 0
        for path in self.visible():
            self.whole(path)
        return code != 0


def disturb(command: Command, kills: int) -> None:
    """End the command so often, in runs of at most four signals each, and compare each run with the first."""
    rng = random.Random(kills)
    seconds = command.finish()
    undisturbed, sent, runs, span = command.results(), 0, 0, seconds
    while sent < kills:
        command.out.rename(command.out.with_name(f"before-{runs}"))
        for _ in range(4):
            ended = command.end(SIGNALS[sent % 3], rng.uniform(0.1, 1) * span)
            sent, span = sent + ended, span if ended else 0.9 * span  # the machine may have become faster
            if sent == kills:
                break
        command.finish()
        assert command.results() == undisturbed
        assert not [path for path in command.out.rglob("*") if PART.fullmatch(path.name)]
        runs += 1
    codes = ", ".join(f"{name} ({count})" for name, count in sorted(command.codes.items()) if count)
    print(
        f"\n{command.words[0]}: {sent} kills in {runs} runs of {len(undisturbed)} files, {seconds:.1f} s each: {codes}"
    )


def test_detect(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kills = asked("detect")
    for number in range(40):
        path = tmp_path / "in" / f"{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), cv2.GaussianBlur(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8), (0, 0), 5))
    options = ["--detector", "none", "--threads", "1", "--batch", "4", "--overlay", "--format", "json,csv,pts,npz"]
    words = ["detect", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *options]

    def whole(path: Path) -> object:
        return cv2.imread(str(path)).size if path.suffix == ".jpg" else load(path)

    disturb(Command(words, ["--resume"], tmp_path / "out", whole), kills)


def test_track(tmp_path: Path) -> None:
    """A face that moves in a circle; two parts, of which a kill leaves none or one."""
    kills = asked("track")
    face = cv2.resize(cv2.imread(str(ASTRONAUT))[:300, 80:380], (128, 128), interpolation=cv2.INTER_AREA)[..., ::-1]
    shifts = [np.float32([[1, 0, 9 * np.cos(at / 20)], [0, 1, 9 * np.sin(at / 20)]]) for at in range(600)]
    images = [cv2.warpAffine(face, shift, (128, 128), borderMode=cv2.BORDER_REPLICATE) for shift in shifts]
    source = film(tmp_path / "in.mp4", images, sound=True)
    options = ["--overlay", "--log", "--format", "csv,jsonl,parquet,pts"]
    words = ["track", str(source), "-o", str(tmp_path / "out"), *options]

    def whole(path: Path) -> object:
        if path.suffix in (".csv", ".jsonl", ".parquet"):
            return load_tracks(path)
        if path.suffix == ".mp4":
            with av.open(str(path)) as container:
                return [frame.pts for frame in container.decode(video=0)]
        return path.read_text() if path.suffix == ".log" else load(path)

    disturb(Command(words, ["--resume"], tmp_path / "out", whole), kills)


def test_profile(toy, studio, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    files = ["--face-model", str(toy.path), "--fits", str(studio.table), "--pictures", str(studio.folder)]
    words = ["synth", "profile", *files, "--out", str(tmp_path / "out"), "--count", "36"]
    words += ["--size", "64", "--seed", "3"]

    def whole(path: Path) -> object:
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                return dict(arrays)
        return json.loads(path.read_text()) if path.suffix == ".json" else cv2.imread(str(path)).size

    disturb(Command(words, [], tmp_path / "out", whole), asked("profile"))


def test_train(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(tiny.model_copy(update={"steps": 12, "validate_every": 3}).model_dump_json())
    words = ["train", str(recipe), "--root", str(drawn), "--out", str(tmp_path / "run")]

    def whole(path: Path) -> object:
        if path.suffix == ".ckpt":
            return torch.load(path, weights_only=True)
        return json.loads(path.read_text()) if path.suffix == ".json" else None

    def content(path: Path) -> bytes:
        if path.suffix != ".ckpt":
            return path.read_bytes()
        values, packed = torch.load(path, weights_only=True), BytesIO()
        for name in ("loops", "callbacks"):  # counters and paths of Lightning, which know of the checkpoint of a signal
            del values[name]
        torch.save(values, packed)
        return packed.getvalue()

    differs = ("card.json", "events.")
    disturb(Command(words, ["--resume"], tmp_path / "run", whole, differs, content), asked("train"))
