"""Headers, against the encoders of Pillow."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from canthus.errors import ReadError
from canthus.reader.header import Header, header_of

KINDS = {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WebP", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF", "PPM": "PNM"}


def encoded(form: str, size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Pillow.new(mode, size, 0).save(stream, form, **options)
    return stream.getvalue()


@settings(max_examples=60)
@given(st.sampled_from(sorted(KINDS)), st.integers(1, 700), st.integers(1, 700))
def test_size(form: str, width: int, height: int) -> None:
    assert header_of(encoded(form, (width, height))) == Header(KINDS[form], width, height)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("WEBP", {"lossless": True}),
        ("WEBP", {"save_all": True, "append_images": [Pillow.new("RGB", (300, 200), "red")]}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"big_tiff": False, "compression": "jpeg"}),
    ],
)
def test_variants_of_formats(form: str, options: dict[str, object]) -> None:
    assert header_of(encoded(form, (300, 200), **options)) == Header(KINDS[form], 300, 200)


def test_webp_with_alpha_and_sizes_beyond_two_bytes() -> None:
    assert header_of(encoded("WEBP", (301, 203), "RGBA")) == Header("WebP", 301, 203)
    extended = b"RIFF\x12\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + bytes([0x2F, 0x75, 0x01, 0x00, 0x00, 0x02])
    assert header_of(extended) == Header("WebP", 0x1752F + 1, 0x20000 + 1)


def test_bmp_upside_down_and_of_the_oldest_kind() -> None:
    data = bytearray(encoded("BMP", (30, 20)))
    data[22:26] = (-20).to_bytes(4, "little", signed=True)
    assert header_of(bytes(data)) == Header("BMP", 30, 20)
    oldest = b"BM" + bytes(12) + b"\x0c\0\0\0" + b"\x1e\0\x14\0" + bytes(4)
    assert header_of(oldest) == Header("BMP", 30, 20)


def test_pnm_with_comments() -> None:
    assert header_of(b"P5\n# made by hand\n12 # wide\n34\n255\n...") == Header("PNM", 12, 34)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation(form: str, order: str) -> None:
    exif = Pillow.Exif()
    exif.endian = order
    exif[274] = 6
    assert header_of(encoded(form, (30, 20), exif=exif)) == Header(KINDS[form], 30, 20, 6)


@pytest.mark.parametrize("value", [0, 9, 60000])
def test_orientation_that_is_none_means_upright(value: int) -> None:
    exif = Pillow.Exif()
    exif[274] = value
    assert header_of(encoded("JPEG", (30, 20), exif=exif)).orientation == 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_missing_end_is_seen(form: str) -> None:
    data = encoded(form, (300, 200))
    assert header_of(data).whole and not header_of(data[:-1]).whole


@pytest.mark.parametrize("form", sorted(KINDS))
def test_every_beginning_of_a_file_is_read_or_refused(form: str) -> None:
    data = encoded(form, (30, 20))
    for length in range(min(len(data), 120)):
        try:
            header = header_of(data[:length])
        except ReadError as error:
            assert "empty" in str(error) or "not an image" in str(error) or "cut short" in str(error)
        else:
            assert (header.width, header.height) in {(30, 20), (0, 0)}
