"""`make bench`: every bar of this project in one run, as a table and as out/bench/bench.json."""

import json
import platform
import sys
from collections.abc import Callable

from bench import builds, images
from bench.bar import Bar
from worker_images.engine.endpoint import Endpoint, PrivateEngine, locate
from worker_images.files import ROOT

BARS: dict[str, Callable[[Endpoint], Bar]] = {
    "size": images.size,
    "full-size": images.full_size,
    "memory": images.memory,
    "compat": images.compat,
    "plan": images.plan,
    "no-op": images.no_op,
    "checks": images.checks,
    "suite": images.suite,
    "bump": builds.bump,
    "start": images.sandbox,
    "all": builds.shared,
    "bake": builds.bake,
    "bare": builds.bare,
}


def main(names: list[str]) -> int:
    """Measure the named bars, or all; 1 where one is over."""
    if unknown := set(names) - set(BARS):
        print(f"bench: unknown: {', '.join(sorted(unknown))}; bars: {', '.join(BARS)}")
        return 2
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
