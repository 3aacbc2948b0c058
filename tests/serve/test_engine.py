import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import canthus
from canthus.errors import BundleError, InputError, KindError, ReadError, SizeError
from canthus.reader.image import decode
from canthus.serve.engine import Engine, Found
from canthus.serve.settings import Settings
from serve.running import ASTRONAUT

WRONG = {"large": SizeError, "cut": ReadError, "text": KindError}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Settings(max_pixels=300_000, max_faces=2))


def encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    """Pictures with no face, one and three, and what cannot be read."""
    face = cv2.imdecode(np.frombuffer(ASTRONAUT, np.uint8), cv2.IMREAD_COLOR)[:220, 120:340]
    return {
        "one": encoded(face),
        "mirrored": encoded(cv2.flip(face, 1)),
        "three": encoded(np.concatenate([face, cv2.flip(face, 1), face], 1)),
        "none": encoded(np.full((90, 120, 3), 128, np.uint8)),
        "large": encoded(np.zeros((600, 600, 3), np.uint8)),
        "cut": encoded(face)[:2000],
        "text": b"hello",
    }


@pytest.fixture(scope="module")
def alone(pictures: dict[str, bytes]) -> dict[str, canthus.Faces]:
    """What a pipeline finds in each picture that can be read."""
    pipeline = canthus.Pipeline.open(max_faces=2)
    return {name: pipeline(decode(data, name)) for name, data in pictures.items() if name not in WRONG}


@given(names=st.lists(st.sampled_from(["one", "mirrored", "three", "none", *WRONG]), min_size=1, max_size=6))
@settings(max_examples=5)
def test_pictures_found_together_are_as_found_alone(
    engine: Engine, pictures: dict[str, bytes], alone: dict[str, canthus.Faces], names: list[str]
) -> None:
    for name, result in zip(names, engine.find([pictures[name] for name in names]), strict=True):
        if name in WRONG:
            assert type(result) is WRONG[name]
            continue
        assert isinstance(result, Found)
        assert result.size == decode(pictures[name], name).shape[1::-1]
        assert len(result.faces) == {"none": 0, "three": 2}.get(name, 1)
        np.testing.assert_allclose(result.faces.points, alone[name].points, atol=1e-2)


def test_a_picture_that_makes_the_engine_fail_fails_alone(
    engine: Engine, pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = type(engine._detector).detect_many
    raised: list[Exception] = [MemoryError(), BundleError("broken"), RuntimeError("a mistake")]

    def poisoned(self: object, images: list[np.ndarray]) -> list[canthus.Faces]:
        if any(image.shape[0] == 90 for image in images):
            raise raised[0]
        return inner(self, images)  # type: ignore[arg-type]

    monkeypatch.setattr(type(engine._detector), "detect_many", poisoned)
    for kind in (InputError, BundleError, RuntimeError):
        first, second, third = engine.find([pictures[name] for name in ("one", "none", "mirrored")])
        assert isinstance(first, Found) and isinstance(third, Found)
        assert type(second) is kind
        raised.pop(0)
