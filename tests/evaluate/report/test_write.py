import sys
from xml.etree import ElementTree

import cv2
import pytest

from canthus.errors import ExtraMissingError, OutputError
from canthus.evaluate.report.figure import ced_figure
from canthus.evaluate.report.write import write_report


def test_a_report_is_seven_files_and_the_same_twice(make_study, tmp_path):
    page = write_report(make_study(), tmp_path / "a")
    names = ["ced.png", "ced.svg", "faces.csv", "points.csv", "report.html", "report.json", "report.md"]
    assert page == tmp_path / "a" / "report.html"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    assert min(cv2.imread(str(tmp_path / "a" / "ced.png")).shape[:2]) > 600
    assert ElementTree.parse(tmp_path / "a" / "ced.svg").getroot().tag.endswith("svg")
    write_report(make_study(), tmp_path / "b")
    for name in set(names) - {"ced.svg"}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_the_plot_shows_the_subject_and_its_rivals(make_study):
    axes = ced_figure(make_study()).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [label.partition("%  ")[2] for label in labels] == ["ours", "rival & co"]


def test_a_folder_that_cannot_be_made(make_study, tmp_path):
    (tmp_path / "file").write_text("here first")
    with pytest.raises(OutputError, match="file"):
        write_report(make_study(), tmp_path / "file")


def test_without_matplotlib_the_extra_is_named(make_study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExtraMissingError, match=r"canthus\[report\]"):
        write_report(make_study(), tmp_path / "a")
    assert not (tmp_path / "a").exists()
