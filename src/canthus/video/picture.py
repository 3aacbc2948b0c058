"""A frame with its tracked faces drawn on it: points, head axes, and the number of each face with its state."""

import cv2

from canthus.drawing import CURVE, SHADE, draw
from canthus.track.state import State
from canthus.track.step import Step
from canthus.types import Image

COLOURS = {State.NEW: (120, 190, 255), State.UNCERTAIN: (255, 176, 32), State.FOUND: (190, 150, 255)}
"""Colours of the numbers of faces in other states than tracked."""


def drawn(image: Image, step: Step) -> Image:
    """A copy of a frame (H, W, 3) with its faces; above each stands its number, and its state if not tracked."""
    canvas = draw(image, step.faces)
    for face, state in zip(step.faces, step.states, strict=True):
        x0, y0, _, y1 = face.box.tolist()
        scale = min(max((y1 - y0) / 250, 0.4), 2.0)
        text = f"{int(face.identity)}" + f" {state}" * (state is not State.TRACKED)
        place = round(x0), max(round(y0 - 8 * scale), round(24 * scale))
        for colour, width in ((SHADE, 4), (COLOURS.get(state, CURVE), 1)):
            cv2.putText(
                canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, round(width * scale) + 1, cv2.LINE_AA
            )
    return canvas
