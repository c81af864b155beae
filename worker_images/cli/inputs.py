"""`build.py lock` and `build.py fetch`."""

import argparse
import subprocess
import sys
from pathlib import Path

from worker_images.build import inputs, plan, requirements, resolve
from worker_images.build.inputs import Input
from worker_images.build.plan import ALL
from worker_images.build.requirements import ARCHITECTURES
from worker_images.build.tars import Progress
from worker_images.fetch import apt
from worker_images.fetch.store import Store, copy_file, pip_failure, wheel_download
from worker_images.files import check_cache
from worker_images.model import project
from worker_images.model.lock import Lock
from worker_images.model.project import Project

# Debian 12's and Debian 13's.
PYTHONS = ("3.11", "3.13")
LOCK_EXAMPLES = """\
examples:
  ./build.py lock             take what Debian, the Go module proxy and PyPI answer today
  ./build.py lock --check     change nothing; exit 2 where that would change the lock

exit codes: 0 ok, 2 usage or versions.yaml, with --check also a lock that is not today's, 3 fetch,
4 engine, 7 a driver of the fleet is not served
"""
FETCH_EXAMPLES = """\
examples:
  ./build.py fetch --into /media/worker             on a machine with a network
  ./build.py --variant slim --offline /media/worker    on one without: the same digest
  PIP_NO_INDEX=1 PIP_FIND_LINKS=/media/worker/python make setup    before that, without a .venv

exit codes: 0 ok, 2 usage, versions.yaml or a stale lock, 3 fetch, 7 a driver is not served
"""


def lock(argv: list[str], root: Path, progress: Progress) -> str:
    """Write or check versions.lock, go.mod and go.sum; the answer names what changed."""
    parser = _parser(
        "lock",
        "Write versions.lock, and go.mod and go.sum of each Go component, from versions.yaml.",
        LOCK_EXAMPLES,
    )
    _add_versions(parser, root)
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 2 where the registries answer otherwise today",
    )
    arguments = parser.parse_args(argv)
    check_cache()
    changed = resolve.write(project.load(root, arguments.versions), progress, check=arguments.check)
    return "\n".join(changed) or "nothing changed: the registries have no other versions"


def fetch(argv: list[str], root: Path, progress: Progress) -> str:
    """Put all that the lock names into a folder, for machines without a network."""
    parser = _parser(
        "fetch",
        "Put all that versions.lock names into a folder, each file checked.",
        FETCH_EXAMPLES,
    )
    _add_versions(parser, root)
    parser.add_argument(
        "--into",
        type=Path,
        required=True,
        metavar="DIR",
        help="what is there and right is not fetched again",
    )
    arguments = parser.parse_args(argv)
    check_cache()
    loaded = project.load(root, arguments.versions)
    into, store = arguments.into.absolute(), Store()
    locked = requirements.load(loaded)
    files = sum(_copy(each, loaded, locked, store, into, progress) for each in _all(loaded, locked))
    progress("fetching Python packages, for make setup")
    _python(root, into / "python")
    size = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    return f"{into}: {files} files of the lock, {size / 1e6:.0f} MB"


def _all(loaded: Project, locked: Lock) -> tuple[Input, ...]:
    """The inputs of every component for every architecture, and the private engine, each once."""
    names = tuple(loaded.catalog.components)
    found: list[Input] = [inputs.engine(loaded, locked)]
    for architecture in ARCHITECTURES:
        everything = plan.of_components(loaded, locked, ALL, names, "packages", architecture)
        found += everything.inputs
    return tuple(dict.fromkeys(found))


def _copy(
    each: Input, loaded: Project, locked: Lock, store: Store, into: Path, progress: Progress
) -> int:
    """Have one input in the store and copy it to the folder; returns how many files it is."""
    if isinstance(each, inputs.Root):
        progress(f"fetching {len(each.packages)} Debian packages: {each.name}")
        paths = store.debs(each.packages, loaded.pins.debian, locked.debian.resolved)
        for package, path in zip(each.packages, paths, strict=True):
            copy_file(store, path, apt.download(package).fault, into)
        return len(paths)
    if isinstance(each, inputs.Wheel):
        copy_file(store, store.wheel(each.wheel), wheel_download(each.wheel).fault, into)
        return 1
    if isinstance(each, inputs.Text | inputs.Download):
        return 0
    files = each.files if isinstance(each, inputs.Modules) else (each.file,)
    progress(f"fetching {len(files)} files of Go modules: {each.name}")
    for file, path in zip(files, store.modules(files), strict=True):
        copy_file(store, path, file.fault, into)
    return len(files)


def _parser(name: str, words: str, examples: str) -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(
        prog=f"build.py {name}", description=words, epilog=examples, formatter_class=formatter
    )


def _add_versions(parser: argparse.ArgumentParser, root: Path) -> None:
    parser.add_argument(
        "--versions",
        type=lambda name: Path(name).absolute(),
        metavar="FILE",
        default=root / "versions.yaml",
        help="other pins",
    )


def _python(root: Path, into: Path) -> None:
    """What make setup installs, by the hashes of requirements.txt."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--no-deps",
    ]
    command += [
        "--only-binary",
        ":all:",
        "--dest",
        str(into),
        "--requirement",
        str(root / "requirements.txt"),
    ]
    for version in PYTHONS:
        result = subprocess.run(
            [*command, "--python-version", version], capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise pip_failure("requirements.txt", result.stderr)
