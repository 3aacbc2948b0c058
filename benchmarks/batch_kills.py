"""Kills of `canthus batch`, its processes and the actors of Ray at random moments: nothing is lost or comes twice.

    CANTHUS_DATA=... scripts/bench batch_kills [--engine processes] [--kills 30] [--pictures 300] [--json FILE]

A run is begun; after a random time the command gets KILL, TERM or INT and is begun again, or one of the processes that
work for it gets KILL, so that its part is done by another. When the kills are spent, the command comes to its end; its
tables must be those of a run that nobody disturbed. It reads /proc, so it needs Linux.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyarrow import parquet

from batch import listed, photographs
from canthus.work.files import PART

WORKERS = {"processes": "spawn_main", "ray": "ray::MapWorker"}
"""What the command lines of the processes that work for a command have in common."""
TARGETS = ("worker", "KILL", "worker", "TERM", "worker", "INT")
"""What is killed in turn: a process that works for the command, or the command itself by a signal."""
GONE = 30.0
"""Seconds after the end of a command within which all its processes must have ended."""


def parents() -> dict[int, tuple[int, str]]:
    """Parent and command line of each process by its number."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                found[int(folder.name)] = parent, (folder / "cmdline").read_text(errors="replace")
            except (OSError, ValueError):  # it has just ended
                continue
    return found


def below(ancestor: int) -> dict[int, str]:
    """Command lines of all processes that descend from one."""
    known, found = parents(), {}
    for number, (_, line) in known.items():
        at = number
        while at in known and at != ancestor:
            at = known[at][0]
        if at == ancestor and number != ancestor:
            found[number] = line
    return found


@dataclass
class Soak:
    """A run that is disturbed.

    Attributes:
        words: The command.
        log: File of what it says.
        engine: Its engine.
        done: What was killed, and the exit codes of the command.
        left: Number of processes that were still there a while after the end of their command.
    """

    words: list[str]
    log: Path
    engine: str
    done: Counter[str] = field(default_factory=Counter)
    left: int = 0

    def start(self) -> "subprocess.Popen[bytes]":
        """Begin or go on."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.words,
                stdout=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the background ignores it
            )

    def workers(self, process: "subprocess.Popen[bytes]") -> list[int]:
        """Processes that work for the command."""
        return [number for number, line in below(process.pid).items() if WORKERS[self.engine] in line]

    def disturb(self, process: "subprocess.Popen[bytes]", target: str, rng: random.Random) -> bool:
        """Kill a process of the command, or the command itself; False where there was nothing to kill."""
        while not (workers := self.workers(process)) and target == "worker" and process.poll() is None:
            time.sleep(0.1)
        time.sleep(rng.uniform(0, 2))
        family = below(process.pid)
        if process.poll() is not None:
            return False
        if target == "worker":
            workers = [number for number in workers if number in family]
            if not workers:
                return False
            os.kill(rng.choice(workers), signal.SIGKILL)
            self.done["KILL of a worker"] += 1
            return True
        process.send_signal(signal.Signals[f"SIG{target}"])
        process.wait()
        assert process.returncode in (0, -9, 143, 130, -15, -2), self.log.read_text()
        self.done[f"{target} of the command: {process.returncode}"] += 1
        until = time.monotonic() + GONE
        while (there := family.keys() & parents().keys()) and time.monotonic() < until:
            time.sleep(0.2)
        self.left += len(there)
        return True


def tables(folder: Path) -> list[Any]:
    return [parquet.read_table(folder / name) for name in ("faces", "pictures")]


def soak(root: Path, engine: str, kills: int, pictures: int) -> dict[str, Any]:
    rng, start = random.Random(kills), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="canthus-kills-") as name:
        place = Path(name)
        source = listed(photographs(root, pictures), place)
        words = [sys.executable, "-m", "canthus", "batch", str(source), "--workers", "2", "-o"]
        for kind in dict.fromkeys(["processes", engine]):
            begun = time.monotonic()
            undisturbed = [*words, str(place / kind), "--engine", kind]
            subprocess.run(undisturbed, check=True, stderr=subprocess.DEVNULL)
            seconds = time.monotonic() - begun
        expected, runs = tables(place / "processes"), 0
        soaked, sent, same = Soak([], place / "log", engine), 0, True
        while sent < kills:
            out = place / f"out-{runs}"
            soaked.words = [*words, str(out), "--engine", engine]
            process = soaked.start()
            for _ in range(6):
                target = TARGETS[sent % len(TARGETS)]
                if target != "worker":
                    time.sleep(rng.uniform(0.1, 1) * seconds)
                hit = soaked.disturb(process, target, rng)
                sent += hit
                if process.poll() is not None:
                    process = soaked.start()
                if sent == kills:
                    break
            assert process.wait() == 0, soaked.log.read_text()
            same = same and all(one.equals(other) for one, other in zip(tables(out), expected, strict=True))
            half = [path for path in out.rglob("*") if PART.fullmatch(path.name)]
            assert not half, half
            runs += 1
            print(f"{sent} kills in {runs} runs, the same tables: {same}: {dict(soaked.done)}", flush=True)
    return {
        "kills": sent,
        "runs": runs,
        "pictures": pictures,
        "what was killed, with the exit code of the command": dict(soaked.done),
        "processes left behind": soaked.left,
        "tables equal to those of an undisturbed run": same,
        "seconds": round(time.monotonic() - start),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=WORKERS, default="processes")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--root", type=Path, default=os.environ.get("CANTHUS_DATA"), help="folder of the data sets")
    parser.add_argument("--json", type=Path, help="file to which the result is added by its engine")
    asked = parser.parse_args()
    if asked.root is None:
        parser.error("--root or CANTHUS_DATA names the folder of the data sets")
    result = soak(asked.root, asked.engine, asked.kills, asked.pictures)
    print(json.dumps(result, indent=1))
    if asked.json is not None:
        before = json.loads(asked.json.read_text()) if asked.json.exists() else {}
        asked.json.write_text(json.dumps(before | {asked.engine: result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
