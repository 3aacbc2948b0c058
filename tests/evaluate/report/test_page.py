import re
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.evaluate import report
from canthus.evaluate.protocol import Protocol
from canthus.evaluate.report import plots
from canthus.evaluate.report.ced import GAP
from canthus.evaluate.report.figure import COLOURS
from canthus.evaluate.report.page import RIVALS, page
from canthus.evaluate.score import evaluate_points

VOID = {"meta", "br"}
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>' & </style></title>"

VISIONS = {
    "usual": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    "protanopia": [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
    "deuteranopia": [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881],
    "tritanopia": [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900],
}
"""Matrices from linear RGB to linear RGB, row by row."""


class Outline(HTMLParser):
    """Sections and text of a page; fails on a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.sections, self.links, self.texts = [], [], [], []
        self.tags, self.pairs = Counter(), []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href", "action", "srcset")]
        self.tags[tag] += 1
        self.pairs += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    @property
    def attributes(self) -> set[str]:
        return {name for name, _ in self.pairs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] == "h2":
            self.sections.append(data)


def test_a_full_page(make_study):
    study = make_study()
    outline = Outline(page(study))
    assert outline.sections == [
        "Cumulative error",
        "Systems on the same faces",
        "Error of each point",
        "Error of each region",
        "Contour",
        "Scores",
        "Kinds of faces",
        "Published figures",
        "Faces",
        "Protocol",
    ]
    text = "".join(outline.texts)
    for words in ("ours on <faces>", "rival & co (mapped)", "cascaded_cnn", "canthus evaluate", "<3>"):
        assert words in text
    assert f"{100 * study.result.nme:.2f}" in text


def test_the_page_asks_for_nothing(make_study):
    text = page(make_study())
    links = Outline(text).links
    assert {link.partition(",")[0] for link in links if not link.startswith("#")} == {"data:image/webp;base64"}
    assert not re.search(r"https?://|<script|@import|url\(", text)


def test_names_of_files_and_systems_cannot_become_html(make_study):
    """No tag, no attribute and no rule of style comes from a name, wherever the page shows it."""
    plain = make_study()
    result = replace(
        plain.result, caveats=(HOSTILE,), protocol=plain.result.protocol.changed(set=HOSTILE, boxes=HOSTILE)
    )
    entries = tuple(replace(entry, name=HOSTILE, boxes=HOSTILE) for entry in plain.entries)
    study = replace(
        plain,
        title=HOSTILE,
        truth=replace(plain.truth, images=(f"{HOSTILE}.jpg",) * 12),
        entries=(replace(entries[0], result=result), *entries[1:]),
        command=HOSTILE,
    )
    hostile, usual = Outline(page(study)), Outline(page(plain))
    assert hostile.tags.keys() == usual.tags.keys()
    assert "script" not in hostile.tags and "img" not in hostile.tags
    assert {name for name in hostile.attributes if name.startswith("on")} == set()
    assert hostile.attributes == usual.attributes
    assert "".join(hostile.texts).count(HOSTILE) > 30


def test_no_module_writes_html_by_hand():
    """Only templates hold tags, so that everything that is filled in is escaped."""
    for path in Path(report.__file__).parent.glob("*.py"):
        assert not re.search(r"</|<[a-z]+[ >]", path.read_text(encoding="utf-8")), path.name


def test_the_headline_has_its_interval(make_study):
    study = make_study()
    text = "".join(Outline(page(study)).texts)
    assert f"{100 * study.interval.low:.2f} to {100 * study.interval.high:.2f} (95 % interval)" in text
    assert "bootstrap over 12 faces" in text


def test_every_curve_is_labelled_at_its_end(make_study):
    study = make_study()
    found = re.findall(r'<li class="c(\d)[^>]*style="top:([\d.]+)px">.*?class="name">(.*?)</span>', page(study))
    assert {(number, unescape(name)) for number, _, name in found} == {("0", "ours"), ("1", "rival & co")}
    assert abs(float(found[0][1]) - float(found[1][1])) >= GAP


def test_a_face_is_stored_once_and_each_thumbnail_enlarges_it(make_study):
    """The twelve worst faces of twelve are also the best: 24 thumbnails, 12 pictures."""
    outline = Outline(page(make_study()))
    assert outline.tags["image"] == 12 and outline.tags["figure"] == 24
    targets = [value for name, value in outline.pairs if name == "popovertarget"]
    large = {value for name, value in outline.pairs if name == "id" and value.startswith("face-")}
    assert set(targets) == large and len(targets) == 24 + 12
    assert [name for name, _ in outline.pairs].count("popover") == 12


def test_wide_tables_say_that_they_scroll(make_study):
    text = page(make_study())
    assert re.findall(r'class="hint">Scroll sideways: (\d+) columns', text) == ["10", "4"]
    assert text.count('class="scroll wide" role="region"') == 2


def test_a_page_without_photographs_is_small(make_study):
    assert len(page(make_study(rich=False))) < 250_000


def colours_of(block: str) -> dict[str, list[str]]:
    """Colours of the categories and of the ramp in one theme of the style sheet."""
    return {kind: re.findall(rf"--{kind}\d: (#\w{{6}})", block) for kind in "cr"}


def seen(colours: list[str], vision: str) -> np.ndarray:
    """CIE L*a*b* of colours as somebody without one kind of cone sees them [Machado et al., 2009]. Shape (n, 3)."""
    rgb = np.array([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.reshape(VISIONS[vision], (3, 3)).T, 0, 1)
    back = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return cv2.cvtColor(back[None].astype(np.float32), cv2.COLOR_RGB2Lab)[0]


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_stay_apart_for_colour_blind_readers(vision, theme):
    style = files(report).joinpath("templates/style.css").read_text(encoding="utf-8")
    colours = colours_of(style.split("@media")[theme])
    assert len(colours["c"]) == RIVALS + 1 and len(colours["r"]) == plots.STEPS
    categories = seen(colours["c"], vision)
    gaps = np.linalg.norm(categories[:, None] - categories, axis=2)[np.triu_indices(RIVALS + 1, 1)]
    assert gaps.min() > 12
    steps = np.diff(seen(colours["r"], vision)[:, 0])
    assert (np.abs(steps) > 4).all() and len(set(np.sign(steps))) == 1
    points = seen(re.findall(r"--(?:true|found): (#\w{6})", style), vision)
    assert np.linalg.norm(points[0] - points[1]) > 60


def test_plots_for_papers_have_the_colours_of_the_page():
    style = files(report).joinpath("templates/style.css").read_text(encoding="utf-8")
    assert list(COLOURS) == colours_of(style.split("@media")[0])["c"]


def test_a_bare_page_leaves_out_what_is_not_known(make_study):
    outline = Outline(page(make_study(Protocol(), rich=False)))
    assert outline.sections == [
        "Cumulative error",
        "Error of each point",
        "Error of each region",
        "Contour",
        "Faces",
        "Protocol",
    ]
    assert {link[0] for link in outline.links} == {"#"}


def test_figures_that_contradict_their_paper_are_marked(make_study):
    text = page(make_study(Protocol(name="300w-full-interpupil", normaliser="inter-pupil", faces=689)))
    assert "subsets add up to 4.82, it prints 4.78" in text
    assert "12 faces were scored; 300w-full-interpupil has 689" in text


def test_bins_and_lost_faces_are_shown(make_study):
    protocol = Protocol(name="p", normaliser="box", aggregation="bins", bins=(0, 30, 60, 90))
    study = make_study(protocol, lost=[4])
    text = "".join(Outline(page(study)).texts)
    assert "in the protocol's bins" in text and "mean of bins" in text
    assert "not found" in text
    assert f"{100 * study.result.nme_bins:.2f}" in text


@pytest.mark.parametrize("part", ["inner", ""])
def test_the_error_without_the_contour_is_shown_where_it_is_another(make_study, part):
    text = page(make_study(Protocol(part=part)))
    assert ("error without the contour" in text) == (part == "")


def test_a_study_in_which_nothing_was_found(make_study):
    study = make_study(Protocol(), rich=False, lost=range(12))
    outline = Outline(page(study))
    assert outline.sections == ["Cumulative error", "Faces", "Protocol"]
    assert "100.00" in "".join(outline.texts)


def test_a_study_without_any_error(make_study):
    plain = make_study(rich=False)
    result = evaluate_points(plain.truth.points, plain.truth.points, plain.result.protocol)
    study = replace(plain, predictions=plain.truth, entries=(replace(plain.entries[0], result=result),))
    assert "Error of each region" in Outline(page(study)).sections and study.result.nme == 0


def test_a_point_that_is_annotated_in_no_face_is_left_out(make_study):
    plain = make_study(rich=False)
    points = plain.truth.points.copy()
    points[:, 3] = np.nan
    found = plain.predictions.points
    result = evaluate_points(points, found, plain.result.protocol.changed(mask="annotated"))
    study = replace(
        plain, truth=replace(plain.truth, points=points), entries=(replace(plain.entries[0], result=result),)
    )
    text = page(study)
    names = study.scheme.names
    assert f"4 {names[4]}: " in unescape(text) and f"3 {names[3]}: " not in unescape(text)
    assert not re.search(r"\bnan\b", text)
