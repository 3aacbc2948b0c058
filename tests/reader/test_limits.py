"""Files that ask for more memory than they should: refused before they are decoded, or decoded within the bound."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.ImageFile import ImageFile
from pillow_heif import register_heif_opener

from canthus.errors import ReadError
from canthus.reader import parse
from canthus.reader.image import decode, read
from reader.attacks import (
    animated_webp,
    deep_png,
    encoded,
    huge,
    jpeg_of_many_scans,
    jpeg_with_two_frames,
    png_with_two_headers,
    tiff_with_doubled_tags,
)

register_heif_opener()  # for the encoder
FORMATS = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF"]


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test in which pixels are decoded."""

    def never(*_: object) -> None:
        raise AssertionError("the picture was decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    for opener in [ImageFile, *ImageFile.__subclasses__()]:
        monkeypatch.setattr(opener, "load", never)


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("form", FORMATS)
def test_size_is_refused_before_decoding(form: str) -> None:
    with pytest.raises(ReadError, match=r"big\.bin: .* more than [\d,]+[,;]|big\.bin: the header is damaged") as caught:
        decode(data := huge(form), "big.bin")
    assert form in ("AVIF", "HEIF") or "damaged" not in str(caught.value), len(data)


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (jpeg_with_two_frames(), "30000 x 30000 pixels"),
        (deep_png(16000, 14000), "16000 x 14000 pixels"),
        (animated_webp(16383, 10000), "16383 x 10000 pixels .* animated WebP"),
        (jpeg_of_many_scans(8000, 100), "too many scans"),
    ],
)
def test_attacks_are_refused_before_decoding(data: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=rf"x: .*{message}"):
        decode(data, "x")


def test_a_header_that_stands_twice_never_counts_as_both() -> None:
    for data in (png_with_two_headers(), tiff_with_doubled_tags(SIDE := 30000, 8), tiff_with_doubled_tags(8, SIDE)):
        try:
            assert decode(data, "x").shape in ((8, 8, 3), (30, 41, 3))
        except ReadError as error:
            assert str(error).startswith("x: ")


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")


def measured(data: bytes, path: Path) -> tuple[int, str]:
    """Bytes that reading a file takes at its peak, and the error it ends with."""
    path.write_bytes(data)
    code = (
        "import re, sys; from canthus.errors import ReadError; from canthus.reader.image import read\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "before = peak()\n"
        "try: read(sys.argv[1])\n"
        "except ReadError as error: print(error, file=sys.stderr)\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout), done.stderr


@linux
@pytest.mark.parametrize(
    "make",
    [
        jpeg_with_two_frames,
        png_with_two_headers,
        lambda: tiff_with_doubled_tags(30000, 8),
        lambda: tiff_with_doubled_tags(8, 30000),
        lambda: animated_webp(9400, 9400),
    ],
)
def test_attacks_take_no_memory(make: Callable[[], bytes], tmp_path: Path) -> None:
    memory, error = measured(make(), tmp_path / "a")
    assert memory < 64_000_000 or "animated" in error, error


SHADES = Pillow.linear_gradient("L").resize((2000, 2000))
COLOURS = Pillow.merge("RGB", [SHADES, SHADES.rotate(90), SHADES.rotate(180)])
CLEAR = Pillow.merge("RGBA", [*COLOURS.split(), SHADES])


@linux
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("JPEG", lambda: encoded(COLOURS, "JPEG")),
        ("progressive JPEG", lambda: encoded(COLOURS.convert("CMYK"), "JPEG", progressive=True)),
        ("PNG", lambda: deep_png(2000, 2000)),
        ("WebP", lambda: encoded(CLEAR, "WEBP", lossless=True, quality=0, method=0)),
        ("animated WebP", lambda: animated_webp(2000, 2000)),
        ("GIF", lambda: encoded(SHADES, "GIF", save_all=True, append_images=[SHADES.rotate(90)])),
        ("BMP", lambda: encoded(CLEAR, "BMP")),
        ("TIFF", lambda: encoded(COLOURS, "TIFF", tiffinfo={274: 6})),
        ("PNM", lambda: cv2.imencode(".ppm", np.full((2000, 2000, 3), 9000, np.uint16))[1].tobytes()),
        ("AVIF", lambda: encoded(CLEAR, "AVIF", speed=10, subsampling="4:4:4")),
        ("HEIC", lambda: encoded(COLOURS, "HEIF", quality=20)),
    ],
)
def test_memory_is_bounded(kind: str, make: Callable[[], bytes], tmp_path: Path) -> None:
    """Within the estimate by which files are refused, plus the file and what a decoder of any size takes."""
    data = make()
    memory, error = measured(data, tmp_path / "a")
    assert not error
    assert memory <= 2000 * 2000 * parse.PIXEL_BYTES[kind] + len(data) + 12_000_000


def test_limit_is_the_number_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse.MAX_PIXELS == 178_000_000
    monkeypatch.setattr(parse, "MAX_PIXELS", 41 * 30)
    assert decode(encoded(Pillow.new("RGB", (41, 30)), "PNG"), "x").shape == (30, 41, 3)
    with pytest.raises(ReadError, match="42 x 30 pixels are more than 1,230, the limit for PNG files; shrink"):
        decode(encoded(Pillow.new("RGB", (42, 30)), "PNG"), "x")


def test_limit_depends_on_the_memory_that_a_kind_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "MAX_MEMORY", 12 * 100)
    image = Pillow.new("RGB", (12, 10))
    assert decode(encoded(image, "JPEG"), "x").shape == (10, 12, 3)
    with pytest.raises(ReadError, match="more than 100, the limit for progressive JPEG files"):
        decode(encoded(image, "JPEG", progressive=True), "x")


def test_files_that_are_too_long_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(parse.MAX_FILE + 1)
    with pytest.raises(ReadError, match=r"a\.jpg: a file of 534,000,001 bytes; canthus reads up to 534,000,000"):
        read(tmp_path / "a.jpg")


def test_what_is_decoded_has_the_size_of_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((30, 42, 3), np.uint8))
    with pytest.raises(ReadError, match="its header gives 41 x 30 pixels, and 42 x 30 were decoded"):
        decode(encoded(Pillow.new("RGB", (41, 30)), "JPEG"), "x")


@pytest.mark.parametrize("form", FORMATS)
def test_too_little_memory_fails_one_picture(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cv2, "imdecode", full)
    for opener in [ImageFile, *ImageFile.__subclasses__()]:
        monkeypatch.setattr(opener, "load", full)
    with pytest.raises(ReadError, match=r"a\.bin: there is not enough memory to decode it; shrink the image first"):
        decode(encoded(Pillow.new("RGB", (41, 30)), form), "a.bin")
