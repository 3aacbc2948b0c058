import csv
import io
import json
from dataclasses import replace

import pytest

from canthus.evaluate.protocol import Protocol
from canthus.evaluate.report.tables import as_json, faces_csv, markdown, points_csv


def test_faces_and_points_as_csv(make_study):
    study = make_study(lost=[4])
    rows = list(csv.DictReader(io.StringIO(faces_csv(study))))
    assert [row["image"] for row in rows] == list(study.truth.images)
    assert rows[4] == {"image": "a/<4>.jpg", "error": "", "failed": "1"}
    found = [float(row["error"]) for row in rows if row["error"]]
    assert sum(found) / len(found) == pytest.approx(study.result.nme, abs=1e-6)
    points = list(csv.DictReader(io.StringIO(points_csv(study))))
    assert points[36]["name"] == "eye_right_outer"
    assert float(points[36]["error"]) == pytest.approx(study.result.points[36], abs=1e-6)


def test_json_tells_the_figures_and_the_company(make_study):
    study = make_study()
    tree = json.loads(as_json(study))
    assert tree["nme"] == study.result.nme and tree["faces"] == 12 and tree["system"] == "ours"
    assert tree["protocol"]["name"] == "wild68-test"
    assert [row["system"] for row in tree["others"]] == ["rival & co", "rival & co", "ours"]
    assert tree["others"][0]["consensus"] is None
    assert tree["interval"]["low"] < tree["nme"] < tree["interval"]["high"] and tree["interval"]["units"] == "faces"
    assert tree["published"][0]["system"] == "cascaded_cnn"


def test_names_have_no_meaning_in_markdown(make_study):
    study = make_study()
    first = replace(study.entries[0], name="<img src=x> | `a` [b](c)\n# d")
    text = markdown(replace(study, title="*<script>*", entries=(first, *study.entries[1:])))
    assert "<script" not in text and "<img" not in text
    assert "# \\*&lt;script&gt;\\*\n" in text
    assert r"| &lt;img src=x&gt; \| \`a\` \[b\](c) # d |" in text


def test_markdown_has_tables_of_equal_width(make_study):
    study = make_study(Protocol(name="300w-full-interocular", bins=(0, 30, 90)))
    text = markdown(study)
    for words in (
        "## Systems",
        "## Regions",
        "## Bins of yaw",
        "## Visibility",
        "## Contour",
        "## Published",
        "ced.png",
    ):
        assert words in text
    assert "⚠ the paper's subsets add up to 3.38" in text
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in lines}) <= 1
    assert "| --- |" in text


def test_the_error_of_a_point_that_is_not_known_is_an_empty_cell(make_study):
    study = make_study(Protocol(part="inner"))
    rows = list(csv.DictReader(io.StringIO(points_csv(study))))
    assert rows[3]["error"] == "" and float(rows[36]["error"]) > 0
