"""score_guided at run time: points with weights, then the unreliable points rebuilt from the reliable ones."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from canthus.align.estimate import Estimate
from canthus.align.maps import MAPS
from canthus.align.rebuild import Rebuild
from canthus.align.stage import Parts, Stage, aligned_to
from canthus.align.view import View
from canthus.errors import BundleError


def stages(parts: Mapping[str, Parts]) -> tuple[Stage, ...]:
    """The row: "maps" over the network "landmarks", then "rebuild" by the shapes in its arrays, if there are some."""
    crop, networks, arrays = parts["maps"]

    def maps(view: View, estimate: Estimate | None) -> Estimate:
        out = networks["landmarks"].run(view.cut(crop))
        points, pose = view.lift(out["points"], crop), np.full((len(view), 3), np.nan, np.float32)
        known = {name: out[name] for name in ("weights", "occluded")} | {
            name: out[name] for name in MAPS if name in out
        }
        return Estimate(points, out["scores"], pose, known)

    def rebuilt(view: View, estimate: Estimate | None) -> Estimate:
        if estimate is None or shapes is None:
            raise BundleError("the rebuild of score_guided follows its maps; it cannot start a row")
        points = shapes.points(estimate.points, estimate.extras["weights"], estimate.scores)
        return replace(estimate, points=points, extras={**estimate.extras, "raw": estimate.points})

    shapes = Rebuild.of(arrays)
    first = Stage("maps", crop, maps, aligned_to(arrays.get("mean")))
    return (first,) if shapes is None else (first, Stage("rebuild", crop, rebuilt))
