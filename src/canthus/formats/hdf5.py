"""MATLAB files of version 7.3 in a process of their own: HDF5 never returns from some damaged files.

`python -m canthus.formats.hdf5 FILE [CELL...]` writes the variables of a file to the standard output, as an .npz file.
"""

import io
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.formats.matlab import open_hdf5
from canthus.work.archive import DamagedError, read_arrays

SECONDS, RATE = 4, 20_000_000
"""Time of the processor that a file may take: so many seconds, and one more for so many bytes."""
LONGEST = 120.0
"""Seconds after which the process is stopped, where time of the processor is not limited."""
_CHILD = "import sys; sys.path[:] = {path!r}; from canthus.formats.hdf5 import main; main()"


def read_hdf5(path: Path, cells: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """The variables of a file by name: numbers with axes as in MATLAB, texts as strings.

    Args:
        path: The file.
        cells: Variables that are cells of arrays. Every array is read and forgotten, so that HDF5 also finishes when
            this process reads them one by one; the result has whether that succeeded. Shape (N,).

    Raises:
        DamagedError: not such a file, damaged, or HDF5 does not finish reading it.
        ExtraMissingError: SciPy or h5py is not installed.
    """
    command = [sys.executable, "-c", _CHILD.format(path=sys.path), str(path), *cells]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired as error:
        raise DamagedError("HDF5 does not finish reading it") from error
    if done.returncode < 0:
        raise DamagedError(f"HDF5 does not finish reading it, or fails (signal {-done.returncode})")
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DamagedError(lines[-1] if lines else "HDF5 cannot read it")
    return read_arrays(io.BytesIO(done.stdout))


def main() -> None:
    """Read the file that the command line names; exit code 1 and a message where it is damaged."""
    path, cells = Path(sys.argv[1]), sys.argv[2:]
    _limit(SECONDS + path.stat().st_size // RATE)
    try:
        with open_hdf5(path) as file:
            names = file.names()
            found = {name: file.read(name) for name in names if name not in cells}
        for name in cells:
            if name in names:
                found[name] = _readable(path, name)
    except (DamagedError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    plain = {name: array for name, array in found.items() if array.dtype.kind in "fiubU"}
    np.savez(sys.stdout.buffer, **plain)  # type: ignore[arg-type]


def _readable(path: Path, name: str) -> NDArray[Any]:
    """Whether each array of a cell can be read. Shape (N,)."""
    with open_hdf5(path) as file:
        readable = np.zeros(file.size(name), np.bool_)
        for index in range(len(readable)):
            with suppress(DamagedError):
                readable[index] = file.cell(name, (0, index)).size > 0
    return readable


def _limit(seconds: int) -> None:
    """Limit the time of the processor of this process, from now on."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))


if __name__ == "__main__":
    main()
