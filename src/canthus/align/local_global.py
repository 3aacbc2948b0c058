"""local_global at run time: one network on one crop, which gives the points of the heatmaps and of the regressor."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from canthus.align.estimate import Estimate
from canthus.align.stage import Parts, Stage, aligned_to
from canthus.align.view import View
from canthus.errors import ShapeError


def stages(parts: Mapping[str, Parts]) -> tuple[Stage, ...]:
    """The row: "heatmaps" (local), then the fine-tuning "regressor" (global), over one network, "landmarks"."""
    crop, networks, arrays = parts["heatmaps"]

    def heatmaps(view: View, estimate: Estimate | None) -> Estimate:
        out = networks["landmarks"].run(view.cut(crop))
        pose = np.full((len(view), 3), np.nan, np.float32)
        state = {"regressed": view.lift(out["points"], crop)}
        return Estimate(view.lift(out["local"], crop), out["scores"], pose, state=state)

    def regressor(view: View, estimate: Estimate | None) -> Estimate:
        if estimate is None or "regressed" not in estimate.state:
            raise ShapeError("the regressor of local_global follows its heatmaps; it cannot start a row")
        return replace(estimate, points=estimate.state["regressed"], state={})

    return Stage("heatmaps", crop, heatmaps, aligned_to(arrays.get("mean"))), Stage("regressor", crop, regressor)
