"""Reading, against Pillow as another decoder and encoder, and against bytes that are broken on purpose."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageOps

from canthus.errors import ReadError
from canthus.reader.files import find
from canthus.reader.header import header_of
from canthus.reader.image import MAX_PIXELS, decode, read

FORMATS = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"]
LOSSLESS = {"WEBP": {"lossless": True}}


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
    assert difference(image, np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))) <= (3 if form == "JPEG" else 0)
    header = header_of(data)
    assert (header.width, header.height) == (41, 30)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_exif_is_applied(form: str, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[274] = orientation
    data = encoded(picture(), form, exif=exif)
    upright = ImageOps.exif_transpose(Pillow.open(io.BytesIO(encoded(picture(), "PNG", exif=exif))))
    assert difference(decode(data, "x"), np.asarray(upright)) <= (12 if form == "JPEG" else 0)


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
    assert difference(image, np.round(stored / 257)) == 0


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
    assert header_of(data).kind == "JPEG"
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


def huge(form: str) -> bytes:
    """A whole small file whose header promises 30000 x 30000 pixels."""
    data = bytearray(encoded(picture(), form))
    side = 30000
    if form == "PNG":
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif form == "JPEG":
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = struct.pack(">HH", side, side)
    elif form == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    elif form == "BMP":
        data[18:26] = struct.pack("<ii", side, -side)
    elif form == "WEBP":
        data[21:25] = struct.pack("<I", (side - 1) & 0x3FFF | ((side - 1) & 0x3FFF) << 14)  # 13616 x 13616
    elif form == "TIFF":
        order = "<" if data[:2] == b"II" else ">"
        at = struct.unpack_from(order + "I", data, 4)[0]
        for entry in range(at + 2, at + 2 + 12 * struct.unpack_from(order + "H", data, at)[0], 12):
            tag, kind = struct.unpack_from(order + "HH", data, entry)
            if tag in (256, 257):
                struct.pack_into(order + ("H" if kind == 3 else "I"), data, entry + 8, side)
    else:
        data[: data.index(b"41 30") + 5] = b"P6 # huge\n30000 30000"
    return bytes(data)


@pytest.mark.parametrize("form", FORMATS)
def test_size_is_refused_before_decoding(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the picture was decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    header = header_of(huge(form))
    assert header.width == header.height > 13000
    with pytest.raises(ReadError, match=r"big\.bin: \d+ x \d+ pixels are more than"):
        decode(huge(form), "big.bin")


def test_limit_is_the_number_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_PIXELS == 178_000_000
    monkeypatch.setattr("canthus.reader.image.MAX_PIXELS", 41 * 30)
    assert decode(encoded(picture(), "PNG"), "x").shape == (30, 41, 3)
    with pytest.raises(ReadError, match="shrink"):
        decode(encoded(picture(42), "PNG"), "x")


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
        (b"P6 0 5 255\n", "0 x 5"),
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


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ["b.jpg", "a.PNG", "sub/deep/c.webp", "sub/notes.txt", ".hidden/d.jpg", "sub/._e.jpg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_find_in_folders(tree: Path) -> None:
    assert find([tree]) == [tree / "a.PNG", tree / "b.jpg", tree / "sub/deep/c.webp"]


def test_find_takes_each_file_once(tree: Path) -> None:
    assert find([tree / "b.jpg", tree / "sub" / ".." / "b.jpg", tree]) == find([tree])


def test_find_by_pattern(tree: Path) -> None:
    assert find([f"{tree}/**/*.webp", f"{tree}/*"]) == find([tree])


def test_find_takes_a_named_file_whatever_its_name(tree: Path) -> None:
    assert find([tree / "sub/notes.txt", tree / "gone.jpg"]) == [tree / "gone.jpg", tree / "sub/notes.txt"]


def test_find_takes_brackets_literally_where_the_file_exists(tree: Path) -> None:
    (tree / "x[1].jpg").write_bytes(b"")
    assert find([tree / "x[1].jpg"]) == [tree / "x[1].jpg"]


@pytest.mark.parametrize("place", ["empty", "*.tiff"])
def test_find_says_where_no_image_is(place: str, tree: Path) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(ReadError, match=r"no image found; canthus looks for \.apng"):
        find([tree, f"{tree}/{place}"])
