"""Videos that are written: times, sizes, colours, sound, and parts that are joined; read by PyAV, not by canthus."""

import resource
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from canthus.errors import OutputError
from canthus.writer.film import Film, Part, Sound, join, suffix_of
from films import av, film, greys


def pictures_of(path: Path) -> list[tuple[float, Any]]:
    """Time and pixels of every picture."""
    with av.open(str(path)) as container:
        return [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def sound_of(path: Path) -> Any:
    with av.open(str(path)) as container:
        assert container.streams.audio
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def written(path: Path, images: list[Any], times: list[float], size: tuple[int, int] | None = None) -> Path:
    with Film(path, size or (images[0].shape[1], images[0].shape[0])) as one:
        for image, time in zip(images, times, strict=True):
            one.add(image, time)
    return path


def test_pictures_and_times_are_kept(tmp_path: Path) -> None:
    times = [1.5, 1.54, 1.58, 2.0, 2.001, 7.25]
    found = pictures_of(written(tmp_path / "a.mp4", greys(6), times))
    assert [time for time, _ in found] == pytest.approx([time - 1.5 for time in times], abs=1e-4)
    for (_, image), grey in zip(found, greys(6), strict=True):
        assert image.shape == grey.shape and np.abs(image.astype(int) - grey).max() <= 4


def test_colours_are_kept(tmp_path: Path) -> None:
    for colour in ((200, 40, 40), (40, 200, 40), (40, 40, 200), (250, 250, 250), (3, 3, 3)):
        image = np.full((48, 64, 3), colour, np.uint8)
        (_, back), *_ = pictures_of(written(tmp_path / "a.mp4", [image] * 2, [0, 0.04]))
        assert np.abs(back.astype(int) - image).max() <= 4


@pytest.mark.parametrize("size", [(65, 47), (64, 47), (65, 48)])
def test_odd_sides_become_one_pixel_longer(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, -1] = image[-1] = 200
    ((_, back),) = pictures_of(written(tmp_path / "a.mp4", [image], [0.0]))
    assert back.shape == (48, 66 if size[0] == 65 else 64, 3)
    assert np.abs(back[-1].astype(int) - 200).max() < 40 or size[1] % 2 == 0


def test_pictures_of_another_size_are_fitted(tmp_path: Path) -> None:
    images = [np.full((48, 64, 3), 100, np.uint8), np.full((96, 64, 3), 200, np.uint8)]
    (_, first), (_, second) = pictures_of(written(tmp_path / "a.mp4", images, [0, 1.0]))
    assert first.shape == second.shape and abs(int(second[24, 32, 0]) - 200) < 6 and second[24, 4].max() < 20


def test_times_that_do_not_rise(tmp_path: Path) -> None:
    found = pictures_of(written(tmp_path / "a.mp4", greys(3), [0.0, 0.0, 0.0]))
    assert len(found) == 3 and found[0][0] < found[1][0] < found[2][0]


def test_parts_whose_times_meet(tmp_path: Path) -> None:
    first, second = (written(tmp_path / f"{n}.mp4", greys(3), [0.0, 0.04, 0.08]) for n in range(2))
    join(tmp_path / "a.mp4", [Part(first, 0.0), Part(second, 0.08)])
    times = [time for time, _ in pictures_of(tmp_path / "a.mp4")]
    assert times == sorted(set(times)) and times == pytest.approx([0, 0.04, 0.08, 0.08, 0.12, 0.16], abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_parts_become_one_video(tmp_path: Path, suffix: str) -> None:
    times = [0.0, 0.04, 0.5, 0.6, 3.0, 3.04, 3.08, 3.12]
    images = greys(8)
    cuts = [(0, 3), (3, 4), (4, 8)]
    parts = [Part(written(tmp_path / f"{a}.mp4", images[a:b], times[a:b]), times[a]) for a, b in cuts]
    join(tmp_path / f"a{suffix}", parts)
    found = pictures_of(tmp_path / f"a{suffix}")
    assert [time for time, _ in found] == pytest.approx(times, abs=2e-3)
    assert [image[..., 1].mean() for _, image in found] == pytest.approx([40 + 4 * n for n in range(8)], abs=3)


def test_the_sound_is_kept_in_its_place(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mp4", greys(50), sound=True)
    part = Part(written(tmp_path / "part.mp4", greys(50), [n / 25 for n in range(50)]), 0.0)
    join(tmp_path / "a.mp4", [part], Sound(source, 0.0))
    before, after = sound_of(source), sound_of(tmp_path / "a.mp4")
    assert abs(len(before) - len(after)) <= 2048 and np.abs(before[:12000] - after[:12000]).max() < 1e-6
    join(tmp_path / "b.mp4", [part], Sound(source, 1.0))
    assert 7000 < len(sound_of(tmp_path / "b.mp4")) < 9100, "the sound before the first picture is left out"
    short = Part(written(tmp_path / "short.mp4", greys(25), [n / 25 for n in range(25)]), 0.0)
    join(tmp_path / "c.mp4", [short], Sound(source, 0.0))
    assert 7000 < len(sound_of(tmp_path / "c.mp4")) < 10300, "and so is that after the last"


def test_sound_that_mp4_does_not_hold(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        voice = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        block = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = 8000, 0, Fraction(1, 8000)
        container.mux(voice.encode(block))
        container.mux(voice.encode())
    part = Part(written(tmp_path / "part.mp4", greys(25), [n / 25 for n in range(25)]), 0.0)
    assert suffix_of(Sound(source, 0.0)) == ".mkv" and suffix_of(None) == suffix_of(Sound(part.path, 0.0)) == ".mp4"
    join(tmp_path / "b.mkv", [part], Sound(source, 0.0))
    assert sound_of(tmp_path / "b.mkv").size == 8000 and len(pictures_of(tmp_path / "b.mkv")) == 25


def test_a_video_without_sound(tmp_path: Path) -> None:
    part = Part(written(tmp_path / "part.mp4", greys(5), [n / 25 for n in range(5)]), 0.0)
    join(tmp_path / "a.mp4", [part], Sound(film(tmp_path / "source.mp4", greys(5)), 0.0))
    assert len(pictures_of(tmp_path / "a.mp4")) == 5


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.mp4: cannot be written: No such file or directory; free some space"):
        Film(tmp_path / "none" / "a.mp4", (64, 48))


FULL = """
import sys
from pathlib import Path
import numpy as np
from canthus.errors import OutputError
from canthus.writer.film import Film, Part, join
rng = np.random.default_rng(0)
path = Path(sys.argv[1])
try:
    if path.exists():
        join(path.with_name("whole.mp4"), [Part(path, 0.0)])
    else:
        with Film(path, (320, 240)) as film:
            for n in range(40):
                film.add(rng.integers(0, 255, (240, 320, 3)).astype(np.uint8), n / 25)
except OutputError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.parametrize("joining", [False, True])
def test_a_full_disk(tmp_path: Path, joining: bool) -> None:
    """A limit on the size of files stands for it: the system gives another error number in the same place."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    path = tmp_path / "a.mp4"
    if joining:
        written(
            path, [np.random.default_rng(n).integers(0, 255, (240, 320, 3), np.uint8) for n in range(9)], [*range(9)]
        )
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False, preexec_fn=limit
    )
    assert done.returncode == 3, done.stderr
    assert "cannot be written: File too large; free some space" in done.stdout
    assert not (tmp_path / "whole.mp4").exists()
