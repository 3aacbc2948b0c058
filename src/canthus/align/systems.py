"""Every system of landmarks at run time, by its stem."""

from collections.abc import Callable, Mapping

from canthus.align import cascaded_cnn, coarse_to_fine, compact, local_global, multi_view, score_guided
from canthus.align.calibration import Curve
from canthus.align.stage import Parts, Stage, System
from canthus.errors import BundleError

SYSTEMS: dict[str, Callable[[Mapping[str, Parts]], tuple[Stage, ...]]] = {
    "cascaded_cnn": cascaded_cnn.stages,
    "coarse_to_fine": coarse_to_fine.stages,
    "compact": compact.stages,
    "local_global": local_global.stages,
    "multi_view": multi_view.stages,
    "score_guided": score_guided.stages,
}
"""From what the stages are made of, by name, to the row of a system."""


def system_of(stem: str, scheme: str, parts: Mapping[str, Parts], batch: int = 32) -> System:
    """A system over its networks.

    Args:
        stem: A key of `SYSTEMS`.
        scheme: Name of the scheme of its points.
        parts: What its stages are made of, by name, in order; the arrays of the last one may calibrate the scores.
        batch: Number of faces that go through the networks together.

    Raises:
        BundleError: there is no such system, or it lacks a stage or a network.
    """
    if stem not in SYSTEMS:
        raise BundleError(f"system {stem!r} is not known; there are {', '.join(SYSTEMS)}")
    curve = Curve.of(list(parts.values())[-1].arrays) if parts else None
    try:
        return System(stem, scheme, SYSTEMS[stem](parts), batch, curve)
    except KeyError as error:
        raise BundleError(f"system {stem!r} lacks the stage {error}; it has {', '.join(parts) or 'none'}") from error
