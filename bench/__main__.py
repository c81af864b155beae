"""`make bench`: every bar of this project in one run, as a table and as out/bench/bench.json."""

import argparse
import json
import platform
import sys
from collections.abc import Callable

from bench import builds, images, reading
from bench.bar import Bar
from worker_images.engine.endpoint import Endpoint, PrivateEngine, locate
from worker_images.files import ROOT

BARS: dict[str, Callable[[Endpoint], Bar]] = {
    "size": images.size,
    "full-size": images.full_size,
    "zstd-size": images.zstd_size,
    "memory": images.memory,
    "compat": images.compat,
    "plan": images.plan,
    "no-op": images.no_op,
    "checks": images.checks,
    "suite": images.suite,
    "read": reading.read,
    "bump": builds.bump,
    "start": images.sandbox,
    "all": builds.shared,
    "bake": builds.bake,
    "bare": builds.bare,
}


EXAMPLES = """\
examples:
  .venv/bin/python -m bench              measure all bars, as make bench does
  .venv/bin/python -m bench size plan    measure these bars

exit codes: 0 every value is within its limit, 1 a value is over its limit, 2 usage
"""


def _names(argv: list[str]) -> list[str]:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure speed, size and memory as ratios against limits and peers.\n"
        "Print a table and write out/bench/bench.json. It needs the images: make all",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bars = ", ".join(BARS)
    parser.add_argument("bars", nargs="*", metavar="BAR", help=f"default: all of {bars}")
    names: list[str] = parser.parse_args(argv).bars
    if unknown := set(names) - set(BARS):
        parser.error(f"no such bar: {', '.join(sorted(unknown))}; bars: {bars}")
    return names


def main(argv: list[str]) -> int:
    """Measure the named bars, or all; 1 where one is over."""
    names = _names(argv)
    endpoint = locate(PrivateEngine(ROOT))
    assert endpoint, "no engine; run: make slim"
    found = []
    for name in names or BARS:
        found.append(BARS[name](endpoint))
        print(found[-1], flush=True)
    file = ROOT / "out/bench/bench.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    data = {"python": platform.python_version(), "bars": [bar.row for bar in found]}
    file.write_text(f"{json.dumps(data, indent=1)}\n")
    return int(not all(bar.holds for bar in found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
