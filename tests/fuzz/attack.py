"""Attacks classes of input one after the other, and prints what came of it."""

import shutil
import tempfile
import time
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path

from fuzz.worker import Tally, attack

START, SILENCE = 300.0, 60.0
"""Seconds without an answer after which a process is stopped: while it loads its modules, and afterwards."""


def attacked(name: str, seed: int, seconds: float, most: int = 1 << 60) -> Tally:
    """Attack a class of input; a process that ends or is silent is a failure of the input that it had.

    Args:
        name: Class of input.
        seed: Seed of the damage.
        seconds: Duration; the input that is being tried is finished.
        most: Largest number of inputs.
    """
    whole, until, first = Tally(), time.time() + seconds, 0
    while first < most and (time.time() < until or first == 0):
        number, end = _once(name, seed, first, until, most, whole)
        if not end:
            return whole
        whole.fail(end, number)
        whole.tried += 1
        first = number + 1
    return whole


def _once(name: str, seed: int, first: int, until: float, most: int, whole: Tally) -> tuple[int, str]:
    """Run one process; returns the last input, and how the process ended if not as it should."""
    context, number, patience = get_context("spawn"), first, START
    folder = Path(tempfile.mkdtemp(prefix="canthus-fuzz-"))
    here, there = context.Pipe()
    process = context.Process(target=attack, args=(there, name, seed, folder, first, until, most), daemon=True)
    process.start()
    there.close()
    try:
        while True:
            if not here.poll(patience):
                process.kill()
                return number, f"no answer in {patience:g} s"
            message, patience = here.recv(), SILENCE
            if message is None:
                return number, ""
            if isinstance(message, Tally):
                whole.add(message)
            else:
                number = message
    except EOFError:
        process.join()
        return number, f"the process ended with code {process.exitcode}"
    finally:
        process.kill()
        process.join()
        shutil.rmtree(folder, ignore_errors=True)


def table(tallies: Mapping[str, Tally]) -> str:
    """What came of an attack, as a table in Markdown, and the inputs that failed."""
    lines = [
        "| class of input | tried | refused | exceptions not ours | seconds at most | memory at most, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, tally in tallies.items():
        failed = sum(map(len, tally.failures.values()))
        figures = f"{tally.tried:,} | {tally.refused:,} | {failed:,} | {tally.seconds:.2f} | {tally.memory / 2**20:.0f}"
        lines.append(f"| {name} | {figures} |")
    total = sum(tally.tried for tally in tallies.values())
    failed = sum(len(numbers) for tally in tallies.values() for numbers in tally.failures.values())
    lines += [f"| all | {total:,} | {sum(t.refused for t in tallies.values()):,} | {failed:,} | | |", ""]
    for name, tally in tallies.items():
        for what, numbers in sorted(tally.failures.items()):
            shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
            lines.append(f"{name}: {what}: {len(numbers)} inputs ({shown})")
    return "\n".join(lines)
