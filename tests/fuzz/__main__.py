"""`python -m tests.fuzz --count 1000 --seed 1`: exit 0 where every case ended well and memory did not grow."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .run import GROWTH, growth, run, table, work


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Try malformed pictures, maps and payloads on the app.")
    parser.add_argument("--count", type=int, default=1000, help="how many cases")
    parser.add_argument("--first", type=int, default=0, help="index of the first, to try one again")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", default="", help='kinds that begin so: "picture", "payload/named"')
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        first, last = (int(k) for k in options.work.split("-"))
        work(range(first, last + 1), options.seed, options.folder, options.only)
        return 0
    started, results = time.monotonic(), []
    for result in run(options.count, options.seed, options.first, options.only):
        results.append(result)
        if not result.good or len(results) % 100 == 0:
            print(f"{len(results)} tried; {result.index} {result.kind}: {result.how}", file=sys.stderr, flush=True)
    print(table(results))
    print(f"{time.monotonic() - started:.0f} s, seed {options.seed}")
    return 0 if all(r.good for r in results) and growth(results) < GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
