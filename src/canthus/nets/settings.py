"""Base of the settings in recipes, which networks and training share."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

Number = Annotated[float, BeforeValidator(lambda value: float(value) if isinstance(value, str) else value)]
"""A float; also accepts strings, since PyYAML reads 1e-3 as one."""


class Strict(BaseModel):
    """A part of a recipe: unknown fields and numbers that are not finite are errors, and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
