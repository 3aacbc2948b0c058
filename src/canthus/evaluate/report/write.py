"""Writes a report to a folder; each file is written whole or not at all."""

from collections.abc import Callable
from pathlib import Path

from canthus.evaluate.report.figure import ced_figure, check_matplotlib
from canthus.evaluate.report.page import page
from canthus.evaluate.report.render import check_jinja
from canthus.evaluate.report.study import Study
from canthus.evaluate.report.tables import as_json, faces_csv, markdown, points_csv
from canthus.work.files import replace_whole

TEXTS: dict[str, Callable[[Study], str]] = {
    "report.html": page,
    "report.md": markdown,
    "report.json": as_json,
    "faces.csv": faces_csv,
    "points.csv": points_csv,
}
PLOTS: dict[str, dict[str, None]] = {"ced.svg": {"Date": None}, "ced.png": {}}
"""File of each plot, and metadata to leave out of it so that equal reports are equal files."""


def check_extra() -> None:
    """Check that reports can be written, before the long work starts.

    Raises:
        ExtraMissingError: a package of the extra `report` is not installed.
    """
    check_matplotlib()
    check_jinja()


def write_report(study: Study, folder: Path) -> Path:
    """Write the page, its tables and the CED plot.

    Args:
        study: The study to report.
        folder: Output folder; it is made if necessary, and an older report in it is replaced.

    Returns:
        The HTML page.

    Raises:
        ExtraMissingError: a package of the extra `report` is not installed.
        OutputError: the folder cannot be written.
        ReadError: a picture of the set cannot be read.
    """
    check_extra()
    figure = ced_figure(study)
    for name, metadata in PLOTS.items():
        with replace_whole(folder / name) as path:
            figure.savefig(path, metadata=metadata, bbox_inches="tight")
    for name, text in TEXTS.items():
        with replace_whole(folder / name) as path:
            path.write_text(text(study), encoding="utf-8", errors="backslashreplace")
    return folder / "report.html"
