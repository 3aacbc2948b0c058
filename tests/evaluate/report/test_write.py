import sys
from dataclasses import replace
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
    labels = sorted(axes.texts, key=lambda text: -text.xyann[1])
    assert [label.get_text().partition(", AUC")[0] for label in labels] == ["ours", "rival & co"]
    assert labels[0].xyann[1] - labels[1].xyann[1] >= 0.05
    assert axes.get_legend() is None


def test_names_are_not_formulas(make_study, tmp_path):
    """Matplotlib would refuse to typeset this name as mathematics."""
    study = make_study()
    entries = tuple(replace(entry, name="a$\\bad{$b") for entry in study.entries)
    write_report(replace(study, entries=entries), tmp_path)
    assert ced_figure(replace(study, entries=entries)).axes[0].texts[0].get_text().startswith("a$\\bad{$b, AUC")


def test_names_that_are_not_unicode_are_written(make_study, tmp_path):
    """File names that are not UTF-8 reach Python as lone surrogates, which no encoding accepts."""
    study = make_study()
    truth = replace(study.truth, images=tuple(f"b\udcff{index}.jpg" for index in range(12)))
    write_report(replace(study, truth=truth), tmp_path)
    assert "b\\udcff3.jpg" in (tmp_path / "faces.csv").read_text("utf-8")
    assert "b\\udcff3.jpg" in (tmp_path / "report.html").read_text("utf-8")


def test_a_folder_that_cannot_be_made(make_study, tmp_path):
    (tmp_path / "file").write_text("here first")
    with pytest.raises(OutputError, match="file"):
        write_report(make_study(), tmp_path / "file")


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_without_a_package_the_extra_is_named(make_study, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExtraMissingError, match=r"canthus\[report\]"):
        write_report(make_study(), tmp_path / "a")
    assert not (tmp_path / "a").exists()
