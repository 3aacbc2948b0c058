"""docs/add-a-dataset.md, followed literally."""

import re
from pathlib import Path

import numpy as np
import pytest

from canthus.data.catalogue import DATASETS, open_set
from canthus.errors import DataError

DOC = Path(__file__).parents[2] / "docs/add-a-dataset.md"
CODE = re.findall(r"^```python\n(.+?)^```$", DOC.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def followed(tmp_path, monkeypatch):
    """Every block of the page, run in order in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DATASETS, "smiles", None)  # so that it is taken out afterwards
    namespace = {}
    exec(compile("\n".join(CODE), str(DOC), "exec"), namespace)
    return namespace


def test_it_takes_less_than_60_lines():
    assert 20 < sum(len(block.splitlines()) for block in CODE) < 60


def test_the_set_is_there(followed):
    ann, bo = open_set("smiles", followed["root"], "train")
    assert ann.points.tolist() == [[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]]
    assert (ann.scheme, ann.identity, bo.identity) == ("5", "ann", "bo")
    assert ann.picture().shape == (120, 100, 3)
    assert {sample.identity for sample in followed["train"] + followed["val"]} == {"ann", "bo"}


def test_the_audit_says_what_the_page_says(followed):
    promised = re.search(r"# (bo_1.+)", "\n".join(CODE))[1]
    (finding,) = followed["audit"](followed["samples"])
    assert finding.endswith(promised)


def test_the_reader_refuses_what_does_not_fit(followed):
    table = followed["root"] / "smiles/train.txt"
    with pytest.raises(DataError, match=r"(?s)test\.txt does not exist; expected\n.*train\.txt, test\.txt"):
        open_set("smiles", followed["root"], "test")
    text = table.read_text()
    table.write_text(text.replace(" 105 82", ""))
    with pytest.raises(DataError, match=r"train\.txt, bo_1\.png: the points are \(4, 2\), but this set has 5"):
        open_set("smiles", followed["root"], "train")
    table.write_text(text.replace("105", "nan"))
    with pytest.raises(DataError, match=r"train\.txt, bo_1\.png: point 4 is not a finite number"):
        open_set("smiles", followed["root"], "train")
    assert np.isfinite(followed["samples"][1].points).all()
