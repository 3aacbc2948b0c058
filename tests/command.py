"""The command line as a user types it."""

from pathlib import Path

import pytest

from canthus.cli import main


def run(*words: str | Path) -> int:
    """Exit code of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["canthus", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
    return int(stopped.value.code or 0)
