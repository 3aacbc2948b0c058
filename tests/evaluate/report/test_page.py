import re
from html.parser import HTMLParser

import pytest

from canthus.evaluate.protocol import Protocol
from canthus.evaluate.report.page import page

VOID = {"meta", "br"}


class Outline(HTMLParser):
    """Sections and text of a page; fails on a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.sections, self.links, self.texts = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href", "action", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]

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
        "Error of each point",
        "Systems on the same faces",
        "Error of each region",
        "Kinds of faces",
        "Contour",
        "Scores",
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
    assert all(link.startswith("data:image/jpeg;base64,") for link in Outline(text).links)
    assert not re.search(r"https?://|<script|@import|url\(", text)


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
    assert outline.links == []


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
