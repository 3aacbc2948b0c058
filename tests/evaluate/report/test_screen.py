import io
from dataclasses import replace

import pytest
from rich.console import Console

from canthus.evaluate.protocol import Protocol
from canthus.evaluate.report.screen import show


def printed(study) -> str:
    stream = io.StringIO()
    show(study, Console(file=stream, width=110))
    return stream.getvalue()


def test_everything_known_is_printed(make_study):
    study = make_study(lost=[4])
    text = printed(study)
    for words in ("12 faces, tight boxes", "12 faces, jitter boxes", "rival & co (mapped)", "cascaded_cnn, published"):
        assert words in text
    for words in ("eye right", "occluded points", "inner lips", "along", "calibration error", "note:", "consensus %"):
        assert words in text
    assert f"{100 * study.result.nme:.2f}" in text


def test_names_are_not_markup(make_study):
    """Rich would take [/x] for a closing tag that nothing has opened, and stop."""
    study = make_study()
    rules = study.result.protocol.changed(set="[/set]")
    first = replace(study.entries[0], name="[/x]", boxes="[/box]", result=replace(study.result, protocol=rules))
    text = printed(replace(study, entries=(first, *study.entries[1:])))
    assert "[/x]" in text and "[/box]" in text and "[/set]" in text


def test_the_headline_has_its_interval(make_study):
    study = make_study()
    assert f"NME {100 * study.result.nme:.2f} %, 95 % interval {100 * study.interval.low:.2f} to" in printed(study)


@pytest.mark.parametrize("rich", [True, False])
def test_doubtful_figures_are_called_so_and_what_is_unknown_is_left_out(make_study, rich):
    text = printed(make_study(Protocol(name="300w-full-interpupil"), rich=rich))
    assert "cascaded_cnn, published (doubtful)" in text
    assert ("calibration" in text) == rich
