"""The default system at run time: one network on one crop (`nets/compact.py`)."""

from collections.abc import Mapping

from canthus.align.estimate import Estimate
from canthus.align.stage import Parts, Stage, aligned_to
from canthus.align.view import View


def stages(parts: Mapping[str, Parts]) -> tuple[Stage, ...]:
    """The row: one stage, "landmarks", over its network "landmarks"."""
    crop, networks, arrays = parts["landmarks"]

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        out = networks["landmarks"].run(view.cut(crop))
        return Estimate(view.lift(out["points"], crop), out["scores"], view.lift_pose(out["pose"]))

    return (Stage("landmarks", crop, solve, aligned_to(arrays.get("mean"))),)
