"""The programs whose start is measured, and the commands that start them on each side."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_images.node.bundle import bundle
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.measure.native import native_command
from worker_images.node.measure.start_options import DEFAULT, Option, named
from worker_images.node.measure.starts import COLD, WARM, Case, Side
from worker_images.node.node import Node
from worker_images.node.place import CommandResult, Place, PlaceError, run, run_command
from worker_images.node.runsc import run_sandbox
from worker_images.node.spec import Container

NODE, IN_ROOT = "node", "node, in root"
PROGRAMS = ("true", "read", "cuda", "torch", "transformers")
# Each option for one program; for the others only all together.
SINGLE = ("malloc", "huge-pages", "read-only", "mounts", "dcache", "no-bytecode")
FILES = "files.json"
# The user's root as the sandbox has it, on the machine's own kernel: the file system that differs
# from the node's own then has a figure of its own.
ENTER_ROOT = """set -eu
root=$1 probes=$2
shift 2
for each in proc dev; do mount --rbind "/$each" "$root/$each"; done
mount --bind "$probes" "$root/mnt"
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Bench:
    """The machine, the user's python, and a folder with a copy of the probes."""

    place: Place
    node: Node
    python: str
    folder: Path
    runs_on_node: Callable[[Sequence[str]], CommandResult] = run_command

    @property
    def probes(self) -> Path:
        """The probes, with the list of files that the program `read` reads."""
        return self.folder / "probes"

    def on_node(self, *words: str) -> CommandResult:
        """Run the probe on the node."""
        program = str(self.probes / "start.py")
        return self.runs_on_node(native_command(self.node, self.python, program, *words))

    def in_root(self, *words: str) -> CommandResult:
        """Run the probe on the node's kernel, with the sandbox's root; the driver is left out."""
        python = ["env", "-i", "PATH=/usr/bin:/bin", self.python, f"{PROBES_MOUNT}/start.py"]
        probes = f"{self.place.host}{self.probes}"
        return run(
            self.place,
            ["sh", "-c", ENTER_ROOT, "sh", self.place.clean_root, probes, *python, *words],
        )

    def sandbox(self, option: Option, *command: str) -> Side:
        """Return what starts a sandbox with an option; its bundle is written once."""
        words = command or ("/bin/true",)
        path = self.folder / "-".join((option.name, *(Path(word).name for word in words)))
        modules = self.modules() if option.mounts else []
        container = Container(
            Path(self.place.clean_root),
            words,
            option.environment,
            ((self.probes, PROBES_MOUNT), *((Path(each), each) for each in modules)),
            "all" if self.node.driver else "none",
            read_only=option.read_only,
        )
        bundle.write(self.node, container, path, self.place.host)
        flags = (*option.flags, *(() if self.node.driver else ("--nvproxy=false",)))

        def start() -> CommandResult:
            with option.applied():
                return run_sandbox(self.place, path, flags, debug=False)

        return start

    def modules(self) -> list[str]:
        """Return the folders from which Python imports, without those inside of others."""
        script = "import json, os, sys; print(json.dumps([*filter(os.path.isdir, sys.path[1:])]))"
        command = native_command(self.node, self.python, "-c", script)
        found = sorted(json.loads(checked(self.runs_on_node(command))))
        return [
            each
            for each in found
            if not any(Path(each).is_relative_to(other) for other in found if other != each)
        ]


def prepared(place: Place, node: Node, python: str, probes: Path, folder: Path) -> Bench:
    """Copy the probes into the folder."""
    shutil.copytree(probes, folder / "probes")
    return Bench(place, node, python, folder)


def checked(result: CommandResult) -> str:
    """Return a command's output; raises PlaceError if it failed."""
    if result.status:
        raise PlaceError(f"the program failed: {result.errors.strip()[-500:]}")
    return result.output


def opened(bench: Bench, program: str) -> tuple[Path, ...]:
    """Return the files that a program opens on the node; raises PlaceError."""
    found = map(Path, json.loads(checked(bench.on_node("files", program))))
    return tuple(file for file in found if not file.is_relative_to(bench.folder))


def case(bench: Bench, program: str, cache: str, options: Sequence[str]) -> Case:
    """Return a program with its sides, and `options` for its sandboxes; raises PlaceError."""
    if program == "true":
        return Case(program, cache, {DEFAULT.name: bench.sandbox(DEFAULT)}, needed=(DEFAULT.name,))
    words: tuple[str, ...] = (program,)
    files = opened(bench, "torch" if program == "read" else program)
    if program == "read":
        (bench.probes / FILES).write_text(json.dumps([str(file) for file in files]))
        words = ("read", FILES)
    sides: dict[str, Side] = {NODE: lambda: bench.on_node(*words)}
    if options and program != "cuda" and cache == WARM:
        sides[IN_ROOT] = lambda: bench.in_root(*words)
    for option in (DEFAULT, *(named(name) for name in options)):
        probe = f"{PROBES_MOUNT}/start.py"
        sides[option.name] = bench.sandbox(option, bench.python, probe, *words)
    return Case(program, cache, sides, files, needed=(NODE, DEFAULT.name))


def options_of(program: str, cache: str) -> tuple[str, ...]:
    """Return the options that are measured for a program if none is named."""
    if program in {"true", "read"}:
        return ()
    if program == "cuda":
        return ("exclusive", "all")
    return (*SINGLE, "all") if program == "torch" and cache != COLD else ("all",)
