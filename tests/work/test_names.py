"""No two images share the name of their results, whatever the file system takes for one name."""

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.work.names import alike, names_of, printable, result_names, text_of


def names(*images: str) -> list[str]:
    return list(result_names([Path(image) for image in images]).values())


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["a.jpg", "b.jpg", "sub/a.jpg"], ["a", "b", "sub/a"]),
        (["a.jpg", "a.png", "b.jpg"], ["a.jpg", "a.png", "b"]),
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg", "a.png", "a.jpg.png"]),
        (["a.jpg", "a.png", "a.jpg.png", "a.jpg.png.gif"], ["a.jpg", "a.png", "a.jpg.png", "a.jpg.png.gif"]),
        (["a", "a.jpg"], ["a", "a.jpg"]),
    ],
)
def test_names(images: list[str], expected: list[str]) -> None:
    for order in permutations(range(len(images))):
        assert names(*(images[at] for at in order)) == [expected[at] for at in order]


@pytest.mark.parametrize(
    "images", [["a.jpg", "A.jpg"], ["\u00e9.jpg", "e\u0301.jpg"], ["x/a.jpg", "X/a.jpg"], ["ß", "SS"]]
)
def test_names_that_only_some_file_systems_tell_apart(images: list[str]) -> None:
    found = names(*images)
    assert len({alike(name) for name in found}) == 2
    assert all(name.startswith(f"{image}-") for name, image in zip(found, images, strict=True))


@given(
    st.lists(st.text("aA.\u00e9\u0301b/_0", min_size=1).filter(lambda text: Path(text).name), min_size=1, max_size=8)
)
def test_names_never_collide(texts: list[str]) -> None:
    images = {Path(text.lstrip("/") or "a") for text in texts}
    found = result_names(images)
    assert found.keys() == images
    assert len({alike(name) for name in found.values()}) == len(images)
    assert all(found[image] in names_of(image) for image in images)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    assert text_of(Path("caf\u00e9/a b.jpg")) == "caf\u00e9/a b.jpg"
    assert text_of(Path("caf\udce9.jpg")) == "caf\\xe9.jpg"
    assert text_of(Path("caf\\xe9.jpg")) == "caf\\x5cxe9.jpg"
    assert text_of(Path("\\x")) == "\\x"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jb\n\tc\u009bd\r") == "a\\x1b[2Jb\n\tc\\x9bd\\x0d"
