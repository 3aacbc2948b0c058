"""Error of a least-squares transfer between two schemes: fitted to pairs of train, measured on pairs of val.

Run by `scripts/bench transfer --train PAIRS... --val PAIRS...`, with files of `canthus synth pairs` in the same order.
Errors are percent of the distance of the outer eye corners seen from the front; "along" and "across" are the parts of
the contour's error. Noise is normal, in each axis of the source points.
"""

import argparse
from pathlib import Path

import numpy as np

from canthus.evaluate.metrics import along_contour
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import LinearTransfer
from canthus.synth.pairs import Pairs, read_pairs

COLUMNS = ("inner", "contour", "along", "across")


def errors(transfer: LinearTransfer, pairs: Pairs, noise: np.ndarray) -> list[float]:
    """The errors of `COLUMNS`, percent."""
    scheme, unit = Scheme.open(pairs.of[1].scheme), pairs.inter_ocular[:, None]
    truth = pairs.target[..., :2]
    found = transfer.apply(pairs.source[..., :2] + noise * unit[..., None])
    far = np.linalg.norm(found - truth, axis=-1) / unit
    split = [np.abs(part) / unit for part in along_contour(found, truth, scheme.contour)]
    parts = (far[:, list(scheme.groups["inner"])], far[:, list(scheme.contour)], *split)
    return [100 * float(np.nanmean(part)) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    parser.add_argument("--val", type=Path, nargs="+", required=True)
    parser.add_argument("--noise", type=float, default=0.012)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"| from | to | faces | noise | {' | '.join(COLUMNS)} |")
    print("|---|---|---|---|" + "---|" * len(COLUMNS))
    for train, val in zip(map(read_pairs, options.train), map(read_pairs, options.val), strict=True):
        shaken = [options.noise * rng.normal(size=pairs.source[..., :2].shape) for pairs in (train, val)]
        source = train.source[..., :2]
        clean = LinearTransfer.fit(source, train.target[..., :2])
        rough = LinearTransfer.fit(source + shaken[0] * train.inter_ocular[:, None, None], train.target[..., :2])
        for kind, transfer, noise in (
            ("none", clean, 0 * shaken[1]),
            ("val", clean, shaken[1]),
            ("train, val", rough, shaken[1]),
        ):
            row = " | ".join(f"{value:.2f}" for value in errors(transfer, val, noise))
            print(f"| {val.sides[0]} | {val.sides[1]} | {len(train)}, {len(val)} | {kind} | {row} |")


if __name__ == "__main__":
    main()
