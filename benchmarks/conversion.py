"""Errors of converting between landmark schemes by index, on faces of the data factory that have both.

    scripts/bench conversion views:views_wild68 --root data --write src/canthus/schemes/errors.yaml

Only points that the index map calls near are measured; % of sqrt(w h) of the box of the 68 points.
"""

import argparse
from pathlib import Path

import numpy as np

from canthus.data.catalogue import open_set
from canthus.evaluate.metrics import normalisers
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import index_map

SCHEMES = ("29", "39_left", "39_right", "51", "68", "81", "84")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--write", type=Path, required=True)
    given = parser.parse_args()
    truth = {
        name: np.stack([one.points for one in open_set(given.set, given.root, given.split, scheme=name)])
        for name in SCHEMES
    }
    unit = normalisers(truth["68"], "box", Scheme.open("68"))
    lines = [f"faces: {len(unit)}", f"set: {given.set} {given.split}", "errors:"]
    for source in SCHEMES:
        for target in SCHEMES:
            found = index_map(source, target)
            if source != target and found.approximate.any():
                apart = np.linalg.norm(found.apply(truth[source]) - truth[target], axis=-1)[:, found.approximate]
                lines.append(f"  {source} {target}: {100 * float((apart / unit[:, None]).mean()):.2f}")
    head = "# Mean distance of points that are near their position after a conversion, % of sqrt(w h); made by\n"
    given.write.write_text(f"{head}# scripts/bench conversion.\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
