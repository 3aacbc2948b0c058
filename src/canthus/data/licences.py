"""Licences of the data sets that weights are trained on, by the name of their folder."""

from typing import NamedTuple


class Licence(NamedTuple):
    """What a data set may be used for.

    Attributes:
        text: The terms in short.
        commercial: Whether commercial use is allowed.
    """

    text: str
    commercial: bool = False


_IBUG = Licence("iBUG annotations, research only")

LICENCES: dict[str, Licence] = {
    "300vw": _IBUG,
    "300w": _IBUG,
    "300w-lp": _IBUG,
    "aflw": Licence("AFLW, research only"),
    "aflw68": Licence("AFLW with MERL-RAV annotations, research only"),
    "backdrops": Licence("photographs of BSDS500, Urban100, ImageNet and Caltech101, research only"),
    "cofw": Licence("COFW, research only"),
    "fairface": Licence("FairFace, CC BY 4.0", commercial=True),
    "fgnet68": Licence("FG-NET, research only"),
    "helen68": _IBUG,
    "infant68": Licence("InfAnFace, research only"),
    "london189": Licence("Face Research Lab London set, CC BY 4.0", commercial=True),
    "menpo2d": _IBUG,
    "portraits5": Licence("portraits with five points, research only"),
    "scut86": Licence("SCUT-FBP5500, research only"),
    "wflw": Licence("WFLW, research only"),
    "wild68": _IBUG,
    "ytf68": Licence("YouTube Faces with annotations under MIT; the pictures for research only"),
}
"""Sets that are not listed count as not free for commercial use."""
