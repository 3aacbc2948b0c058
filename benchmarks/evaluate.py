"""Scores 100,000 faces of 68 points from files, writes the full report, and prints seconds and peak memory.

Goal: below 10 s on one core, with memory proportional to the files. Needs the extra `report`.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_faces(folder: Path, faces: int) -> None:
    """Write synthetic truth and predictions with an error of about 3 %."""
    rng = np.random.default_rng(0)
    mean = rng.uniform(0, 100, (68, 2))
    mean[36], mean[45] = (30, 40), (70, 40)
    truth = (mean + rng.normal(0, 2, (faces, 68, 2))).astype(np.float32)
    found = truth + rng.gamma(2, 0.5, (faces, 1, 1)) * rng.normal(0, 1, truth.shape)
    images = np.array([f"faces/{index:06d}.jpg" for index in range(faces)])
    np.savez(folder / "truth.npz", points=truth, images=images)
    np.savez(folder / "found.npz", points=found.astype(np.float32), images=images, scores=rng.random((faces, 68)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_faces(folder, options.faces)
        command = [sys.executable, "-m", "canthus", "evaluate", "--truth", str(folder / "truth.npz")]
        command += ["--predictions", str(folder / "found.npz"), "--report", str(folder / "out")]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = {
            "faces": options.faces,
            "seconds": round(time.perf_counter() - start, 2),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
            "peak_mb": round(usage.ru_maxrss / 1024),
            "files_mb": round(sum(path.stat().st_size for path in folder.glob("*.npz")) / 2**20),
        }
    print(json.dumps(figures))
    if options.json:
        options.json.write_text(json.dumps(figures) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
