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
    private = PrivateEngine(project.root)
    try:
        found = find(private, builder)
    except ClientError:
        _make_root(private, project, locked, store, progress)
        found = find(private, builder)
    if found is not None:
        return _reported(found, progress)
    machine.check_engine_can_start(machine.Machine.here())
    _make_root(private, project, locked, store, progress)
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


def _make_root(
    private: PrivateEngine, project: Project, locked: Lock, store: Store, progress: Progress
) -> None:
    """Create the private engine's root filesystem if it does not exist, and write its clients."""
    with exclusive(private.state, progress):
        if not (private.root / "usr" / "sbin" / "dockerd").exists():
            progress("engine: making its root filesystem from Debian packages")
            archive = private.state / "root.tar"
            _write_root(archive, project, locked, store, progress)
            _unpack(archive, private)
        private.write_client()


def _write_root(
    archive: Path, project: Project, locked: Lock, store: Store, progress: Progress
) -> None:
    debian = project.pins.debian
    write = writer(store, debian, locked.debian.resolved, project.file_time)
    try:
        write(inputs.engine(project, locked), archive)
    except FetchError:
        if store.source:
            raise
        # Images do not contain these packages, so current versions work as well.
        progress("engine: locked packages are gone from the mirror; using current ones")
        names = requirements.roots(project.catalog, BUILDER).names[inputs.ENGINE]
        packages = apt.resolve(debian, {inputs.ENGINE: names})[inputs.ENGINE]
        write(Root(inputs.ENGINE, packages, project.catalog.rules), archive)


def _unpack(archive: Path, private: PrivateEngine) -> None:
    fresh = cleared(private.state / "root.part")
    command = ["tar", "--extract", "--file", str(archive), "--directory", str(fresh)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise EngineError(
            f"unpacking {archive}: {result.stderr.strip()}; free some space there and run again"
        )
    archive.unlink()
    shutil.rmtree(private.root, ignore_errors=True)
    fresh.rename(private.root)
