"""Command line of the attack; `scripts/fuzz --help` explains it."""

import argparse
import sys
from contextlib import suppress

from fuzz.attack import attacked, table
from fuzz.targets import TARGETS


def main() -> int:
    """Attack for some minutes; returns 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="duration, shared by the classes (2)")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the damage; the same seed gives the same inputs (0)"
    )
    parser.add_argument("--most", type=int, default=1 << 60, help="largest number of inputs of each class")
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS), help="classes of input (all)")
    options = parser.parse_args()
    tallies = {}
    with suppress(KeyboardInterrupt):  # what is finished is printed
        for name in options.only:
            tallies[name] = attacked(name, options.seed, options.minutes * 60 / len(options.only), options.most)
            print(f"{name}: {tallies[name].tried:,} tried", file=sys.stderr)
    print(table(tallies))
    return int(any(tally.failures for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
