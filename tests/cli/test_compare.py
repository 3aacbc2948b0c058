import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from canthus import cli
from canthus.evaluate.protocol import ProtocolError
from canthus.formats import table as formats

VERDICT = re.compile(r"% +([AB-]) *$", re.MULTILINE)


@pytest.fixture
def files(tmp_path, rng):
    """A truth of 30 faces of 10 people, good points and worse ones."""
    truth = rng.uniform(0, 200, (30, 68, 2)).astype(np.float32)
    noise = rng.normal(0, 3, truth.shape).astype(np.float32)
    for name, points in {"truth": truth, "good": truth + noise, "worse": truth + 2 * noise}.items():
        records = [formats.Record(f"{index}.jpg", face, identity=f"p{index // 3}") for index, face in enumerate(points)]
        formats.dump(tmp_path / f"{name}.csv", records)
    return tmp_path


def run(folder, first, second, *more):
    arguments = [folder / f"{first}.csv", folder / f"{second}.csv", "--truth", folder / "truth.csv", *more]
    return CliRunner().invoke(cli.app, ["compare", *map(str, arguments)])


def test_the_better_one_is_named(files):
    result = run(files, "good", "worse", "--json", files / "out.json")
    assert result.exit_code == 0, result.output
    assert set(VERDICT.findall(result.output)) == {"A"}
    assert "over identities" in result.output
    tree = json.loads((files / "out.json").read_text())
    total = tree["rows"][0]
    assert total["b"] == pytest.approx(2 * total["a"], rel=1e-3)
    assert total["difference"] == pytest.approx(total["a"] - total["b"])
    assert total["low"] < total["difference"] < total["high"] < 0
    assert total["wins"] == 1
    assert {row["name"] for row in tree["rows"]} >= {"contour", "inner", "mouth", "eye_left"}


def test_turning_it_round_turns_the_sign(files):
    one, two = files / "one.json", files / "two.json"
    run(files, "good", "worse", "--json", one, "--normaliser", "box")
    run(files, "worse", "good", "--json", two, "--normaliser", "box")
    first, second = (json.loads(path.read_text())["rows"][0] for path in (one, two))
    assert first["difference"] == pytest.approx(-second["difference"])
    assert (first["low"], first["high"]) == pytest.approx((-second["high"], -second["low"]))


def test_a_tie_is_undecided(files):
    result = run(files, "good", "good")
    assert set(VERDICT.findall(result.output)) == {"-"}


def test_a_face_that_only_one_found_is_refused(files):
    records = formats.load(files / "worse.csv")[:-1]
    formats.dump(files / "worse.csv", records)
    assert isinstance(run(files, "good", "worse").exception, ProtocolError)


def test_a_level_that_is_none(files):
    assert run(files, "good", "worse", "--level", "2").exit_code == 2


def test_the_result_as_json_alone_on_the_standard_output(files):
    result = run(files, "good", "worse", "--json", "-")
    assert json.loads(result.stdout)["faces"] == 30
    assert set(VERDICT.findall(result.stderr)) == {"A"}
