"""Reading, against Pillow as encoder and, for what OpenCV decodes, as another decoder; and bytes broken on purpose."""

import io
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageOps
from pillow_heif import register_heif_opener

from canthus.errors import ReadError
from canthus.reader.image import decode, read
from canthus.reader.parse import upright_size

register_heif_opener()  # for the encoder
FORMATS = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF"]
LOSSLESS = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}, "HEIF": {"quality": -1}}
LOSSY = {"JPEG": 3, "AVIF": 3, "HEIF": 3}
"""Largest difference between the decoders of a format; 0 where it is lossless."""


def picture(width: int = 41, height: int = 30) -> Pillow.Image:
    """Smooth, so that lossy formats stay near, with a different value in each corner."""
    y, x = np.mgrid[0:height, 0:width]
    return Pillow.fromarray(
        np.stack([x * 200 // width, y * 220 // height, 255 - x * 150 // width], -1).astype(np.uint8)
    )


def encoded(image: Pillow.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **{**LOSSLESS.get(form, {}), **options})
    return stream.getvalue()


def difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(float) - b.astype(float)).max())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_formats_and_grey(form: str, mode: str, tmp_path: Path) -> None:
    data = encoded(picture().convert(mode), form)
    (tmp_path / "picture").write_bytes(data)
    image = read(tmp_path / "picture")
    assert image.dtype == np.uint8 and image.flags.c_contiguous
    assert difference(image, np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))) <= LOSSY.get(form, 0)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_exif_is_applied(form: str, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[274] = orientation
    block = exif.tobytes()
    stored = picture(
        42
    )  # of even width, because the encoder of pillow-heif before 1.8 crops odd ones by the wrong column
    data = encoded(stored, form, exif=block)
    upright = ImageOps.exif_transpose(Pillow.open(io.BytesIO(encoded(stored, "PNG", exif=block))))
    assert upright_size(data) == upright.size
    assert difference(decode(data, "x"), np.asarray(upright)) <= (12 if form in LOSSY else 0)


def test_damaged_exif_leaves_the_picture_as_stored() -> None:
    plain = encoded(picture(), "JPEG")
    block = b"Exif\0\0II*\0\xff\xff\xff\xff"
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]
    assert difference(decode(data, "x"), decode(plain, "x")) == 0


@pytest.mark.parametrize("extension", [".png", ".tif"])
@pytest.mark.parametrize("shape", [(256, 1), (256, 1, 3)])
def test_16_bit_is_scaled_to_8(extension: str, shape: tuple[int, ...]) -> None:
    deep = np.linspace(0, 65535, int(np.prod(shape))).round().astype(np.uint16).reshape(shape)
    image = decode(cv2.imencode(extension, deep)[1].tobytes(), "x")
    stored = np.broadcast_to(deep[:, :, None], (256, 1, 3)) if deep.ndim == 2 else deep[..., ::-1]
    colour_by_pillow = len(shape) == 3  # which takes the upper 8 bits
    assert difference(image, np.round(stored / 257)) <= (1 if colour_by_pillow else 0)
    assert difference(image, stored // 256 if colour_by_pillow else np.round(stored / 257)) == 0


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_transparent_is_white(form: str) -> None:
    picture_ = picture().convert("RGBA")
    picture_.putalpha(Pillow.fromarray(np.tile(np.linspace(0, 255, 41).astype(np.uint8), (30, 1))))
    white = Pillow.new("RGBA", picture_.size, "white")
    image = decode(encoded(picture_, form, **({"exact": True} if form == "WEBP" else {})), "x")
    assert difference(image, np.asarray(Pillow.alpha_composite(white, picture_).convert("RGB"))) <= 1
    assert (image[:, 0] == 255).all()


def test_transparent_16_bit_is_white() -> None:
    deep = np.zeros((2, 2, 4), np.uint16)
    deep[0, 0] = 65535
    image = decode(cv2.imencode(".png", deep)[1].tobytes(), "x")
    assert (image == 255).all()


def test_cmyk_jpeg_is_converted() -> None:
    data = encoded(picture().convert("CMYK"), "JPEG", quality=95)
    assert difference(decode(data, "x"), np.asarray(picture())) < 20


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(form: str) -> None:
    others = [ImageOps.invert(picture()), picture().rotate(180)]
    data = encoded(picture(), form, save_all=True, append_images=others)
    assert getattr(Pillow.open(io.BytesIO(data)), "n_frames", 1) == 3
    assert difference(decode(data, "x"), np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))) == 0


@pytest.mark.parametrize("form", FORMATS)
def test_one_pixel(form: str) -> None:
    assert decode(encoded(picture().resize((1, 1)), form), "x").shape == (1, 1, 3)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
def test_cut_short(form: str, share: float) -> None:
    data = encoded(Pillow.effect_noise((200, 150), 60).convert("RGB"), form)
    with pytest.raises(ReadError, match=r"a\.bin: "):
        decode(data[: int(len(data) * share)], "a.bin")


@pytest.mark.parametrize("missing", [1, 2, 10])
def test_jpeg_without_its_end_is_refused_before_decoding(missing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV before 4.12 fills the rest with grey or with what the memory held."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((30, 41, 3), np.uint8))
    data = encoded(picture(), "JPEG", exif=thumbnail())
    with pytest.raises(ReadError, match=r"a\.jpg: the JPEG file is cut short; copy or download it again"):
        decode(data[:-missing], "a.jpg")


def thumbnail() -> bytes:
    """EXIF that holds a whole JPEG, end marker and all."""
    exif = Pillow.Exif()
    exif[37500] = encoded(picture(8, 8), "JPEG")
    return exif.tobytes()


def test_bytes_after_the_end_of_a_jpeg_do_no_harm() -> None:
    data = encoded(picture(), "JPEG", progressive=True)
    assert difference(decode(data + b"\xff\xd8" + b"more" * 50, "x"), decode(data, "x")) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"just text, no picture", "not an image"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"GIF89a", "damaged"),
        (b"II*\0\x08\0\0\0\0\0", "damaged"),
        (b"P6\nhello", "damaged"),
        (b"P6 0 5 255\n", "damaged"),
    ],
)
def test_no_image(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ReadError, match=rf"a\.jpg: .*{message}"):
        read(tmp_path / "a.jpg")


def test_samples_that_are_no_bytes_are_refused() -> None:
    data = encoded(picture().convert("F"), "TIFF")
    with pytest.raises(ReadError, match="float32; save it with 8 or 16 bits"):
        decode(data, "x.tif")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"gone\.jpg: no such file"):
        read(tmp_path / "gone.jpg")
    with pytest.raises(ReadError, match="a folder"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ReadError, match="not a regular file"):
        read(tmp_path / "pipe.jpg")


@given(st.sampled_from(FORMATS), st.data())
def test_damage_raises_nothing_but_read_error(form: str, data: st.DataObject) -> None:
    whole = encoded(picture(), form)
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(content), "x")
    except ReadError as error:
        assert str(error).startswith("x: ")
    else:
        assert image.dtype == np.uint8 and image.ndim == 3
