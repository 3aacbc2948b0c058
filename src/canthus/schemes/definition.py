"""Files of landmark schemes: what their fields are, and whether these define a scheme.

Indices are written as "0-16 8", names as "jaw_right_{1..8}" or "eye_{a,b}".
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from canthus.errors import SchemeError
from canthus.work.documents import read_yaml

Indices = tuple[int, ...]
Text = Annotated[str, Field(max_length=400)]
Numbers = StrictInt | Text
"""Indices as a file has them: "0-3 7"; a single one may be a number."""
MOST = 1000
"""Largest number of points of a scheme."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
POINT = re.compile(r"[A-Za-z0-9_]{1,64}")
"""Names that a scheme, and that a point, may have."""
WHOLE, CONTOUR, INNER = "face", "contour", "inner"
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
_REMEDY = "correct it as docs/schemes.md says"


class Definition(BaseModel):
    """A landmark scheme as a file defines it; the order of the names is that of the points.

    Attributes:
        title: What the scheme is, in words.
        source: Publication or person that defines it.
        points: Number of points, by which a forgotten name is found.
        names: Name of each point; `_left` and `_right` tell the mirror partners.
        groups: Indices of the points of each part of the face; "contour" is the outline, whose position depends on the
            view. Without groups, all points are one part.
        curves: Polylines to draw; a closed one ends with its first point.
        normalisers: By "inter-ocular" and "inter-pupil" two sets of points; the distance between their centres is the
            unit of an error.
        mirror: Scheme of the mirrored face, for schemes of half a face in the package; none = the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: Text
    source: Text = ""
    points: int | None = None
    names: list[Text] = Field(min_length=1, max_length=MOST)
    groups: dict[Text, Numbers] = Field(default_factory=dict, max_length=100)
    curves: list[Numbers] = Field(default_factory=list, max_length=MOST)
    normalisers: dict[Literal["inter-ocular", "inter-pupil"], tuple[Numbers, Numbers]] = Field(default_factory=dict)
    mirror: Text | None = None


def read_definition(path: Path) -> Definition:
    """Read the file of a scheme.

    Raises:
        SchemeError: it cannot be read, or a field is unknown or wrong.
    """
    tree = read_yaml(path, SchemeError, _REMEDY)
    try:
        return Definition.model_validate(tree)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors()]
        raise SchemeError("\n".join([f"{path}: the scheme has wrong fields; {_REMEDY}:", *lines])) from error


def names_of(written: Sequence[str]) -> tuple[str, ...]:
    """Names with each {1..8}, {8..1} or {a,b} written out, in order.

    Raises:
        SchemeError: a name occurs twice or has other signs, or there are more than `MOST`.
    """
    names: list[str] = []
    for item in written:
        head, brace, rest = item.partition("{")
        if not brace:
            names.append(head)
            continue
        inside, _, tail = rest.partition("}")
        first, dots, last = inside.partition("..")
        parts = [str(number) for number in indices(f"{first}-{last}")] if dots else inside.split(",")
        names.extend(head + part + tail for part in parts)
        if len(names) > MOST:
            raise SchemeError(f"names: there are more than {MOST} points")
    for name in names:
        if not POINT.fullmatch(name):
            raise SchemeError(f"names: {name!r}: a name has at most 64 letters, digits and underscores")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SchemeError(f"names: two points have the name {twice[0]!r}")
    return tuple(names)


def indices(text: str | int) -> Indices:
    """Indices from a text: "0-3 7 5-4" gives 0, 1, 2, 3, 7, 5, 4.

    Raises:
        SchemeError: it is something else, or has more than `MOST` indices.
    """
    numbers: list[int] = []
    for token in str(text).split():
        match = _RANGE.fullmatch(token)
        start, stop = (int(match[1]), int(match[2] or match[1])) if match else (0, MOST)
        if match is None or abs(stop - start) >= MOST or len(numbers) > MOST:
            raise SchemeError(f'{token!r}: indices have the form "0-3 7", {MOST} of them at most')
        step = 1 if stop >= start else -1
        numbers.extend(range(start, stop + step, step))
    return tuple(numbers)


def swap_sides(text: str) -> str:
    """Exchange "left" and "right" in a name."""
    return re.sub("left|right", lambda side: "right" if side[0] == "left" else "left", text)


def check_own(name: str, definition: Definition, names: Sequence[str], groups: Mapping[str, Indices]) -> None:
    """Check what the tests check of the schemes in the package.

    Args:
        name: Name of the scheme.
        definition: Its definition.
        names: Name of each point.
        groups: Indices of each group.

    Raises:
        SchemeError: the name cannot be used, a point has no mirror partner, the groups do not hold each point once or
            are not mirror symmetric, or a curve or normaliser is none.
    """
    count = len(names)
    if not NAME.fullmatch(name) or name == "none" or (name.isdigit() and int(name) != count):
        raise SchemeError(
            f"{name!r} cannot be the name of a scheme: letters, digits, dots, - and _; a number is that of its points"
        )
    if definition.points not in (None, count):
        raise SchemeError(f"points: {count} names, not {definition.points}; name each point once, in its order")
    if definition.mirror is not None:
        raise SchemeError("mirror: a scheme of one's own is its own mirror; name the points of both sides")
    for point in names:
        if swap_sides(point) not in names:
            raise SchemeError(f"names: {point!r} has no mirror partner {swap_sides(point)!r}")
    held = [index for group in groups.values() for index in group]
    if sorted(held) != list(range(count)):
        raise SchemeError(f"groups: they hold each of the points 0-{count - 1} once")
    order = {point: index for index, point in enumerate(names)}
    for group, part in groups.items():
        partner = {order[swap_sides(names[index])] for index in part}
        if partner != set(groups.get(swap_sides(group), ())):
            raise SchemeError(f"groups: the mirror image of {group!r} is not {swap_sides(group)!r}")
    for curve in map(indices, definition.curves):
        if len(curve) < 2 or max(curve) >= count or any(a == b for a, b in pairwise(curve)):
            raise SchemeError(f"curves: {' '.join(map(str, curve))!r} does not join points of 0-{count - 1}")
    for unit, sides in definition.normalisers.items():
        a, b = map(indices, sides)
        if not a or not b or max(a + b) >= count or set(a) & set(b):
            raise SchemeError(f"normalisers: {unit}: two sets without common points, of the points 0-{count - 1}")
