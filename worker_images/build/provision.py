"""Find a container engine, or set up and start the private one."""

import shutil
import subprocess
from pathlib import Path

from worker_images.build import inputs, machine, requirements
from worker_images.build.inputs import BUILDER, Root
from worker_images.build.record import exclusive
from worker_images.build.tars import Progress, cleared, writer
from worker_images.engine.builder import Engine, buildable, find
from worker_images.engine.endpoint import PrivateEngine
from worker_images.errors import ClientError, EngineError, FetchError
from worker_images.fetch import apt
from worker_images.fetch.store import Store
from worker_images.model.lock import Lock
from worker_images.model.project import Project


def ensure_engine(
    project: Project, locked: Lock, store: Store, builder: str | None, progress: Progress
) -> Engine:
    """Return a running engine, or start the private one; raises EngineError."""
    private = PrivateEngine(project.checkout)
    try:
        found = find(private, builder)
    except ClientError:
        make_root(private, project, locked, store, progress)
        found = find(private, builder)
    if found is not None:
        return _reported(found, progress)
    machine.check_engine_can_start(machine.Machine.here())
    make_root(private, project, locked, store, progress)
    progress("engine: starting")
    if warning := private.run("start"):
        progress(warning)
    return _reported(find(private, builder) or buildable(private.endpoint(builder)), progress)


def _reported(engine: Engine, progress: Progress) -> Engine:
    """Report the engine and its warnings."""
    progress(f"engine: {engine}")
    for warning in engine.warnings:
        progress(f"warning: {warning}")
    return engine


def tools_path(owner: str, folder: Path, project: Project, locked: Lock) -> Path:
    """Where the packages of `owner` are unpacked, or will be."""
    root = inputs.tools(project, locked, owner)
    return folder / f"{owner}-{root.digest[:16]}"


def ensure_tools(
    owner: str, folder: Path, project: Project, locked: Lock, store: Store, progress: Progress
) -> Path:
    """Unpack the Debian packages of `owner` into a folder once and return the folder.

    The folder's name contains their digest. Raises FetchError or EngineError.
    """
    target = tools_path(owner, folder, project, locked)
    with exclusive(folder, progress):
        if not target.exists():
            progress(f"unpacking the {owner} tools from Debian packages")
            _unpack_root(owner, target, project, locked, store, progress)
    return target


def make_root(
    private: PrivateEngine, project: Project, locked: Lock, store: Store, progress: Progress
) -> None:
    """Create the private engine's root filesystem if it does not exist, and write its clients."""
    with exclusive(private.state, progress):
        if not (private.root / "usr" / "sbin" / "dockerd").exists():
            progress("engine: making its root filesystem from Debian packages")
            _unpack_root(inputs.ENGINE, private.root, project, locked, store, progress)
        private.write_client()


def _unpack_root(
    owner: str, target: Path, project: Project, locked: Lock, store: Store, progress: Progress
) -> None:
    archive = target.with_name(f"{target.name}.tar")
    _write_root(owner, archive, project, locked, store, progress)
    _unpack(archive, target)


def _write_root(
    owner: str, archive: Path, project: Project, locked: Lock, store: Store, progress: Progress
) -> None:
    debian = project.pins.debian
    write = writer(store, debian, locked.debian.resolved, project.file_time)
    try:
        write(inputs.tools(project, locked, owner), archive)
    except FetchError:
        if store.source:
            raise
        # Images do not contain these packages, so current versions work as well.
        progress(f"{owner}: locked packages are gone from the mirror; using current ones")
        names = requirements.roots(project.catalog, BUILDER).names[owner]
        packages = apt.resolve(debian, {owner: names})[owner]
        write(Root(owner, packages, project.catalog.rules), archive)


def _unpack(archive: Path, target: Path) -> None:
    fresh = cleared(target.with_name(f"{target.name}.part"))
    command = ["tar", "--extract", "--file", str(archive), "--directory", str(fresh)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise EngineError(
            f"unpacking {archive}: {result.stderr.strip()}; free some space there and run again"
        )
    archive.unlink()
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
