"""Videos for tests, written by PyAV packet by packet, independently of canthus."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av")


def film(
    path: Path,
    images: Sequence[Any],
    rate: int = 25,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: bool = False,
) -> Path:
    """Write pictures, each (H, W, 3), as a video; `times` in seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"preset": "ultrafast"} if codec == "libx264" else {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        base = stream.codec_context.time_base = Fraction(1, 1000 if times else rate)
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = 10
        voice = container.add_stream("aac", rate=8000) if sound else None
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = round((times[index] if times else index / rate) / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if voice is not None:
            tone = np.sin(np.arange(8000 * len(images) // rate) / 5).astype(np.float32)[None]
            for start in range(0, tone.shape[1], 1024):
                block = av.AudioFrame.from_ndarray(tone[:, start : start + 1024].copy(), format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = 8000, start, Fraction(1, 8000)
                container.mux(voice.encode(block))
            container.mux(voice.encode())
    return path


def greys(count: int, height: int = 48, width: int = 64) -> list[Any]:
    """Pictures of one grey each, rising from 40 by 4; the red channel is 20 higher."""
    return [np.full((height, width, 3), (60 + 4 * n, 40 + 4 * n, 40 + 4 * n), np.uint8) for n in range(count)]
