"""The commands `build.py lock` and `build.py fetch`."""

import argparse
import subprocess
import sys
from pathlib import Path

from worker_images.build import inputs, plan, published, requirements, resolve
from worker_images.build.compilers import Zig
from worker_images.build.inputs import Input
from worker_images.build.plan import ALL
from worker_images.build.requirements import ARCHITECTURES
from worker_images.build.tars import Progress
from worker_images.cli import freshness, parsers
from worker_images.errors import UsageError
from worker_images.fetch import apt
from worker_images.fetch.store import (
    Store,
    copy_file,
    pip_failure,
    published_download,
    wheel_download,
)
from worker_images.files import check_cache
from worker_images.model import project
from worker_images.model.lock import Lock, lock_of
from worker_images.model.project import Project

# The Python versions of Debian 12 and Debian 13.
PYTHONS = ("3.11", "3.13")
LOCK_EXAMPLES = """\
examples:
  ./build.py lock             resolve against today's Debian, Go module proxy and PyPI
  ./build.py lock --check     write nothing; exit 2 if the lock would change
  ./build.py lock --check --security
                              list the packages of the images that Debian has in newer versions
  ./build.py lock --check --security --fail-on security
                              exit 7 for a security update that is not in security-exceptions.yaml

exit codes: 0 ok, 2 usage, versions.yaml, an exception that expired or is not needed, or (with
--check) an outdated lock, 3 fetch, 4 engine, 7 a security update, or a driver of the fleet is not
served
"""
FETCH_EXAMPLES = """\
examples:
  ./build.py fetch --into /media/worker    on a machine with a network
then, on a machine without one:
  PIP_NO_INDEX=1 PIP_FIND_LINKS=/media/worker/python make setup
  ./build.py --variant slim --offline /media/worker    build the same image, with the same digest

exit codes: 0 ok, 2 usage, versions.yaml or an outdated lock, 3 fetch, 7 a driver of the fleet is
not served
"""


def lock(argv: list[str], root: Path, progress: Progress) -> str:
    """Write or check versions.lock, go.mod and go.sum; return the names of what changed."""
    parser = parsers.of_command(
        "lock",
        "Resolve the pins of versions.yaml; write versions.lock, go.mod and go.sum.",
        LOCK_EXAMPLES,
    )
    parsers.add_versions(parser, root)
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit 2 if the registries now resolve to other versions",
    )
    freshness.add_options(parser)
    arguments = parser.parse_args(argv)
    _check_options(parser, arguments)
    check_cache()
    loaded = project.load(root, arguments.versions)
    if arguments.security:
        return freshness.check(arguments, loaded, progress)
    if not arguments.check:
        _check_modules(loaded)
    changed = resolve.write(loaded, progress, check=arguments.check)
    return "\n".join(changed) or "nothing changed: the lock is up to date"


def _check_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with exit code 2 for an option without the option that it belongs to."""
    if arguments.security and not arguments.check:
        parser.error("--security: add --check")
    if (arguments.fail_on or arguments.json) and not arguments.security:
        parser.error(f"{'--fail-on' if arguments.fail_on else '--json'}: add --security")


def _check_modules(loaded: Project) -> None:
    """Check that other pins keep go.mod and go.sum of the checkout; raises UsageError."""
    own = loaded.root / "versions.yaml"
    if loaded.versions.resolve() == own.resolve():
        return
    locked, wanted = Lock.read(lock_of(own)).request, requirements.request(loaded)
    changed = {key for key, value in wanted.items() if locked.get(key) != value}
    modules = [key for key in wanted if key.startswith("modules.")]
    stale = modules if "go.toolchain" in changed else [key for key in modules if key in changed]
    if stale:
        files = ", ".join(f"images/components/{key.partition('.')[2]}/go.mod" for key in stale)
        raise UsageError(
            f"lock: --versions {loaded.versions}: would change {files}, which belongs to"
            " versions.yaml; change the versions in a copy of the checkout, and run there: make"
            " lock"
        )


def fetch(argv: list[str], root: Path, progress: Progress) -> str:
    """Copy every file of the lock to a folder, for machines without a network."""
    parser = parsers.of_command(
        "fetch",
        "Download every file of versions.lock to a folder and check its digest.",
        FETCH_EXAMPLES,
    )
    parsers.add_versions(parser, root)
    parser.add_argument(
        "--into",
        type=Path,
        required=True,
        metavar="DIR",
        help="the folder to fill; files already there and correct are kept",
    )
    arguments = parser.parse_args(argv)
    check_cache()
    loaded = project.load(root, arguments.versions)
    into, store = arguments.into.absolute(), Store(mirrors=loaded.pins.mirrors)
    locked = requirements.load(loaded)
    files = sum(
        _copy(each, loaded, locked, store, into, progress) for each in _all_inputs(loaded, locked)
    )
    progress("fetching the Python packages that make setup installs")
    _fetch_python_packages(loaded.checkout, into / "python")
    size = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    return f"{into}: {files} files of the lock, {size / 1e6:.0f} MB"


def _all_inputs(loaded: Project, locked: Lock) -> tuple[Input, ...]:
    """Return the inputs of every component and architecture, and of every group of tools."""
    names = tuple(loaded.catalog.components)
    tools = loaded.catalog.packages.tools
    found: list[Input] = [inputs.tools(loaded, locked, group) for group in tools]
    for architecture in ARCHITECTURES:
        everything = plan.of_components(loaded, locked, ALL, names, "packages", architecture)
        found += everything.inputs
        if loaded.pins.source == "upstream":
            found += [
                each for name in names for each in published.files(loaded, name, architecture)
            ]
    return tuple({(each.name, each.digest): each for each in found}.values())


def _copy(
    each: Input, loaded: Project, locked: Lock, store: Store, into: Path, progress: Progress
) -> int:
    """Copy one input to the folder through the store; return its number of files."""
    if isinstance(each, inputs.Root):
        progress(f"fetching {len(each.packages)} Debian packages: {each.name}")
        paths = store.debs(each.packages, loaded.pins.debian, locked.debian.resolved)
        for package, path in zip(each.packages, paths, strict=True):
            copy_file(store, path, apt.download(package).fault, into)
        return len(paths)
    if isinstance(each, inputs.Wheel | Zig):
        copy_file(store, store.wheel(each.wheel), wheel_download(each.wheel).fault, into)
        return 1
    if isinstance(each, published.File):
        progress(f"fetching {each.name}")
        path = store.file(each.name, each.digest, each.redirects)
        copy_file(store, path, published_download(each.name, each.digest).fault, into)
        return 1
    if isinstance(each, inputs.Text | published.Image):
        return 0
    files = each.files if isinstance(each, inputs.Modules) else (each.file,)
    progress(f"fetching {len(files)} files of Go modules: {each.name}")
    for file, path in zip(files, store.modules(files), strict=True):
        copy_file(store, path, file.fault, into)
    return len(files)


def _fetch_python_packages(root: Path, into: Path) -> None:
    """Download the packages of requirements.txt, which `make setup` installs."""
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
