"""Reading ahead: how far, in which order, and what becomes of files that cannot be read."""

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.errors import ReadError
from canthus.reader.ahead import AHEAD, read_ahead


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Images of one grey each, and among them files that are none."""
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((8, 16, 3), number, np.uint8))
    paths[3].write_bytes(b"no image")
    paths[4].write_bytes(b"")
    return [*paths, tmp_path / "gone.png"]


def test_reading_is_only_a_little_ahead(files: list[Path]) -> None:
    taken: list[Path] = []

    def watched() -> Iterator[Path]:
        for path in files * 5:
            taken.append(path)
            yield path

    stream = read_ahead(watched())
    assert next(stream).source == files[0] and len(taken) == AHEAD
    next(stream)
    assert len(taken) == AHEAD + 1
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("canthus-read")]


def test_frames_are_in_order_with_their_image_or_their_error(files: list[Path]) -> None:
    frames = list(read_ahead(files))
    assert [(frame.source, frame.index, frame.time) for frame in frames] == [
        (path, index, None) for index, path in enumerate(files)
    ]
    for frame in frames:
        if frame.index in (3, 4, 6):
            assert frame.image is None and isinstance(frame.error, ReadError)
            assert str(frame.error).startswith(str(frame.source))
        else:
            assert frame.error is None and frame.image is not None and (frame.image == frame.index).all()
