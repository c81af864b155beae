"""C programs of tests, compiled once with the compiler that versions.yaml pins."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from worker_images.build import tars, zigtoolchain
from worker_images.build.compilers import ZIG, Zig
from worker_images.build.go_programs import Parts
from worker_images.build.inputs import BUILDER
from worker_images.build.record import exclusive
from worker_images.files import CACHE, ROOT, atomic_path, text_digest, without_stale_parts

# What images/base/c.j2 sets, for this machine.
OPTIONS = (
    *("-target", "x86_64-linux-gnu.2.17"),
    *("-std=c11", "-O2", "-s", "-Wall", "-Wextra", "-Werror"),
)


@dataclass(frozen=True)
class Program:
    """A program or library of one C file."""

    source: Path
    options: tuple[str, ...]

    def key(self, zig: Zig) -> str:
        """The name of the result in the cache."""
        values = (self.source.read_text(), *OPTIONS, *self.options, zig.digest)
        return f"{self.source.stem}-{text_digest(' '.join(values))[:16]}"


def compiled(*programs: Program) -> list[Path]:
    """Return the path of each result."""
    parts = Parts.of(ROOT)
    zig = Zig(parts.locked.wheels[BUILDER][ZIG])
    cache = without_stale_parts(CACHE / "c-programs")
    found = {cache / each.key(zig): each for each in programs}
    with exclusive(cache, _print, "compiling C"):
        missing = {path: each for path, each in found.items() if not path.is_file()}
        if missing:
            _compile(missing, zig, parts, cache)
    return list(found)


def _compile(programs: dict[Path, Program], zig: Zig, parts: Parts, cache: Path) -> None:
    """Unpack the compiler to a folder of its own, which goes when all is compiled."""
    with tempfile.TemporaryDirectory(prefix="part-", dir=cache) as folder:
        tars.place(Path(folder), [zig], parts.write, parts.epoch, _print)
        subprocess.run(["tar", "--extract", "--file", zig.place], cwd=folder, check=True)
        command = [str(Path(folder) / zigtoolchain.PLACE / "zig"), "cc", *OPTIONS]
        caches = {f"ZIG_{each}_CACHE_DIR": f"{folder}/cache" for each in ("GLOBAL", "LOCAL")}
        for path, program in programs.items():
            _print(f"compiling {program.source.name}")
            with atomic_path(path) as part:
                more = [*program.options, "-o", str(part), str(program.source), "-ldl"]
                subprocess.run([*command, *more], env=caches, check=True)


def _print(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - compiling takes some seconds
