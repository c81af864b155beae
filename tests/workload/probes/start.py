"""Starts a part of a user's program, and prints its seconds as one JSON object.

The parts: torch, transformers, cuda, and read NAME, which reads the files that NAME lists. `files
PART` prints the files that the part opened instead.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from importlib.util import cache_from_source, source_from_cache
from pathlib import Path

CHUNK = 1 << 20


def main() -> None:
    """Measure one part, or list its files."""
    part, *arguments = sys.argv[1:]
    if part == "files":
        PARTS[arguments[0]]()
        json.dump(opened(), sys.stdout)
        return
    begin, processor = time.perf_counter(), time.process_time()
    PARTS[part](*arguments)
    seconds = time.perf_counter() - begin
    json.dump({"seconds": seconds, "processor": time.process_time() - processor}, sys.stdout)


def torch() -> None:
    """Import torch."""
    importlib.import_module("torch")


def transformers() -> None:
    """Import torch, and of transformers what a program that generates text needs."""
    torch()
    module = importlib.import_module("transformers")
    _ = module.AutoTokenizer, module.LlamaForCausalLM


def cuda() -> None:
    """Create a context on the first GPU with libcuda alone."""
    import driver_api

    driver_api.Cuda()


def read(names: str) -> None:
    """Read the files of a list beside this program."""
    buffer = bytearray(CHUNK)
    for name in json.loads(Path(__file__).with_name(names).read_text()):
        with Path(name).open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def opened() -> list[str]:
    """Return the files of the loaded modules and of all mappings.

    A module without bytecode has its source, which Python compiles at each start.
    """
    names = {
        str(vars(module).get(attribute))
        for module in [*sys.modules.values()]
        for attribute in ("__cached__", "__file__")
    }
    compiled = {cache_from_source(name) for name in names if name.endswith(".py")}
    sources = {source_from_cache(name) for name in names & compiled if Path(name).is_file()}
    maps = Path("/proc/self/maps").read_text().splitlines()
    names |= {part.strip() for line in maps for part in line.split(maxsplit=5)[5:]}
    return sorted(name for name in names - sources if Path(name).is_file())


PARTS: dict[str, Callable[..., None]] = {
    "torch": torch,
    "transformers": transformers,
    "cuda": cuda,
    "read": read,
}

if __name__ == "__main__":
    main()
