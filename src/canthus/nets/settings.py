"""Fields of recipes that are checked: what networks and training share."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

Number = Annotated[float, BeforeValidator(lambda value: float(value) if isinstance(value, str) else value)]
"""A float; PyYAML reads 1e-3 as a string, this does not."""


class Strict(BaseModel):
    """A part of a recipe: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
