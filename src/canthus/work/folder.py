"""The folder of a run: claimed with the settings that its result depends on, so that no other run writes into it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from canthus.errors import InputError, OutputError
from canthus.work.files import clear_parts, part_of, replace_whole

SETTINGS, INDEX, SHEET = "run.json", "index.npz", "sheet.png"
"""Names of the files of a run: its settings, its results, its contact sheet."""


def claim(folder: Path, settings: Mapping[str, Any], name: str = SETTINGS) -> None:
    """Take a folder for a run: a new or empty one, or that of an earlier run with the same settings.

    Files and folders that a killed run left half-written are removed.

    Args:
        folder: Folder of the run.
        settings: Everything that the result depends on, as JSON can hold it.
        name: Name of the file that keeps the settings.

    Raises:
        OutputError: the folder holds a run with other settings or something else, or cannot be written.
    """
    text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
    path = folder / name
    try:
        if path.is_file():
            _check_same(path, json.loads(text))
            clear_parts(folder, below=True)
        elif folder.exists() and any(item != part_of(path) for item in folder.iterdir()):
            raise OutputError(f"{folder}: is not empty and holds no run ({name} is missing); choose another folder")
        else:
            with replace_whole(path) as part:
                part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}; choose another folder") from error


def _check_same(path: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder whose settings differ."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        names = sorted(key for key in {*there, *settings} if there.get(key) != settings.get(key))
    except (ValueError, TypeError, AttributeError) as error:
        raise OutputError(f"{path}: is damaged: {error}; remove the folder, or choose another one") from error
    if names:
        raise OutputError(
            f"{path.parent}: holds a run with other settings ({', '.join(names)} differ, see {path.name}); "
            "choose another folder, or remove this one"
        )


def digest(path: Path) -> str:
    """A short hash of the content of a file, for the settings of a run.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def megabytes(folder: Path) -> float:
    """Size of all files below a folder, MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
