"""An engine to work with: the one that answers, or a private one made here."""

import shutil
import subprocess
from pathlib import Path

from worker_images.build import machine, requirements
from worker_images.build.plan import BUILDER, Plan
from worker_images.build.record import exclusive
from worker_images.build.tars import Root, Tell, cleared, root_writer
from worker_images.engine.builder import Engine, buildable, find
from worker_images.engine.endpoint import PrivateEngine
from worker_images.errors import ClientError, EngineError, FetchError
from worker_images.fetch import apt
from worker_images.fetch.store import Inputs


def ensure_engine(
    root: Path, plan: Plan, builder: str | None, inputs: Inputs, tell: Tell
) -> Engine:
    """The engine that answers, or a private one started here; raises EngineError."""
    private = PrivateEngine(root)
    try:
        found = find(private, builder)
    except ClientError:
        _make_root(private, plan, inputs, tell)
        found = find(private, builder)
    if found is not None:
        return _noted(found, tell)
    machine.check_engine_can_start(machine.Machine.here(), plan.variant)
    _make_root(private, plan, inputs, tell)
    tell("engine: starting")
    if slower := private.run("start"):
        tell(slower)
    return _noted(find(private, builder) or buildable(private.endpoint(builder)), tell)


def _noted(engine: Engine, tell: Tell) -> Engine:
    """Name the engine, and what could not be made certain about it."""
    tell(f"engine: {engine}")
    for warning in engine.warnings:
        tell(f"warning: {warning}")
    return engine


def _make_root(private: PrivateEngine, plan: Plan, inputs: Inputs, tell: Tell) -> None:
    """The private engine's root filesystem, with its clients, where there is none."""
    with exclusive(private.state, tell):
        if not (private.root / "usr" / "sbin" / "dockerd").exists():
            tell("engine: making its root filesystem from Debian packages")
            archive, fresh = private.state / "root.tar", private.state / "root.part"
            packages = inputs.lock.packages[BUILDER].of(requirements.ENGINE)
            try:
                root_writer(Root(requirements.ENGINE, packages), inputs, plan)(archive)
            except FetchError:
                if inputs.store.source:
                    raise
                # Debian replaced a package since it was locked; no image is made of these, so
                # today's serve as well.
                tell("engine: its locked packages are to be had no more; taking Debian's of today")
                packages = apt.resolve(plan.debian, {requirements.ENGINE: plan.engine_packages})[
                    requirements.ENGINE
                ]
                root_writer(Root(requirements.ENGINE, packages), inputs, plan)(archive)
            command = [
                "tar",
                "--extract",
                "--file",
                str(archive),
                "--directory",
                str(cleared(fresh)),
            ]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                raise EngineError(
                    f"unpacking {archive}: {result.stderr.strip()}; free some space there and run"
                    " again"
                )
            archive.unlink()
            shutil.rmtree(private.root, ignore_errors=True)
            fresh.rename(private.root)
        private.write_client()
