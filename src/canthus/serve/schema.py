"""The form of the answers, for the description of the interface. The answers themselves are written by `formats`."""

from typing import Any

from pydantic import BaseModel, Field

from canthus.serve.form import FORM
from canthus.serve.refusal import WORDS

Point = list[float | None]


class PoseForm(BaseModel):
    """Rotation of a head in degrees; null = not known."""

    yaw: float | None
    pitch: float | None
    roll: float | None


class FaceForm(BaseModel):
    """One face. Points and boxes in pixels of the picture, upright; pixel centres at integers."""

    box: list[float] = Field(description="x0, y0, x1, y1: the box of the points.")
    confidence: float | None = Field(None, description="Confidence that this is a face, 0 to 1.")
    pose: PoseForm | None = None
    points: list[Point] = Field(description="x, y (and depth) of each point of the scheme.")
    scores: list[float | None] | None = Field(None, description="Reliability of each point, 0 to 1.")
    occluded: list[float | None] | None = Field(None, description="Probability that each point is hidden, 0 to 1.")
    raw: list[Point] | None = Field(None, description="Points before reconstruction by a shape model.")
    view: float | None = Field(None, description="0 frontal, 1 left profile, 2 right profile.")
    plane: list[Point] | None = Field(None, description="Points of the view in the slots of the union of views.")


class ImageForm(BaseModel):
    """The faces of one picture."""

    image: str = Field(description="Always empty: a picture has no name here.")
    width: int
    height: int
    scheme: str = Field(description="Landmark scheme of the points.")
    faces: list[FaceForm] = Field(description="Most confident first; at most as many as the server allows.")


class FacesForm(BaseModel):
    """The content of a .json file of canthus with one image."""

    canthus: str = Field(description="Version of canthus.")
    images: list[ImageForm]


class RefusalForm(BaseModel):
    """Why a request was refused."""

    error: str = Field(description=f"One of {', '.join(WORDS.values())}.")
    message: str = Field(description="What is wrong, and the remedy.")


class HealthForm(BaseModel):
    """The state of a server process."""

    status: str
    canthus: str
    model: str
    scheme: str
    waiting: int = Field(description="Number of pictures that wait.")


MEANINGS = {
    401: "The token is missing or wrong.",
    408: "The request did not arrive in time.",
    413: "The request has too many bytes, or the picture too many pixels.",
    415: "The body is not a picture in a format that canthus reads.",
    422: "The picture is missing, damaged or cut short.",
    429: "This address has too many requests open.",
    503: "Too many requests wait, or there was no answer in time; send it again later.",
}
"""Statuses with which a request for faces is refused."""
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "model": RefusalForm} for status, text in MEANINGS.items()
}
_FILE = {"type": "string", "format": "binary"}
PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": _FILE},
            "application/octet-stream": {"schema": _FILE},
            FORM: {"schema": {"type": "object", "properties": {"image": _FILE}}},
        },
    }
}
"""The body of a request for faces."""
