"""Does a release that is killed, or races another one, leave no half of a release behind?"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.support import docker_registry, small_releases
from tests.support.docker_registry import small_disk
from tests.support.registry_proxy import Fault, Proxy, proxying
from tests.support.small_releases import Factory
from worker_images.build import record
from worker_images.errors import PolicyError, RegistryError
from worker_images.files import ROOT
from worker_images.harness.options import not_run
from worker_images.release import registry, verify
from worker_images.release.registry import Repository

ROUNDS = 5
WRITE = "^(POST|PUT)"
# A release of one variant writes 8 blobs in two requests each, 6 manifests, 2 tags and at least
# one index of attestations.
FEWEST_WRITES = 25


class Killed:
    """A release as a process that the proxy kills with all its children."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.started = threading.Event()

    def start(self, factory: Factory, name: str) -> int:
        """Run the release and return its status."""
        words = ["-m", "tests.support.small_releases", factory.tools.folder, factory.folder, name]
        with subprocess.Popen(
            [sys.executable, *map(str, words), "one"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as self.process:
            self.started.set()
            self.process.communicate()
            return self.process.returncode

    def kill(self) -> None:
        self.started.wait(30)
        assert self.process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def check_tags(repository: Repository, factory: Factory, digest: str) -> None:
    """Every tag that exists names a release that verifies."""
    for tag in ("slim", "1.0-slim"):
        if repository.resolve(f":{tag}"):
            found = verify.verify(repository, f":{tag}", factory.verifier, (), lambda _: None)
            assert found.digest == digest


def killed_at(number: int, address: str, name: str, factory: Factory) -> bool:
    """Kill a release at a write, check the tags, and finish it; return whether it was killed."""
    draft, killed = factory.draft(), Killed()
    with proxying(address) as proxy:
        # The registry gets every second of these requests before the release is killed.
        fault = Fault(WRITE, killed.kill, skip=number, after=bool(number % 2))
        proxy.faults = [fault]
        status = killed.start(factory, f"{proxy.address}/{name}-{number}")
        if fault.times:
            assert status == 0
            return False
        assert status == -signal.SIGKILL
        target = registry.connect(factory.tools, f"{proxy.address}/{name}-{number}")
        check_tags(target, factory, draft.digest)
        small_releases.publish(factory.publisher(target, attempt="2"), draft)
        check_tags(target, factory, draft.digest)
        assert target.resolve(":1.0-slim") == target.resolve(":slim") == draft.digest
    return True


def test_release_that_is_killed_at_any_write_leaves_no_half_tag(
    shared_registry: str, name: str, factory: Factory
) -> None:
    """The same command finishes it with the same digest. Reads change nothing in a registry."""
    for attempt in ("", "2"):
        for statement in small_releases.statements(factory.draft()):
            factory.signer(attempt).sign(
                factory.draft().digest, statement.kind, statement.predicate, "1.0-slim"
            )
    with ThreadPoolExecutor(2) as pool:
        for first in count(step=2):
            done = pool.map(
                lambda number: killed_at(number, shared_registry, name, factory),
                (first, first + 1),
            )
            if not all(done):
                break
    assert first + 1 >= FEWEST_WRITES


def test_release_to_a_full_disk_ends_with_exit_code_6(
    program: Path, factory: Factory, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The message says that the registry failed; no tag exists."""
    if os.geteuid():
        not_run(pytestconfig, "release", "mounting a small file system needs root")
    draft = factory.draft(os.urandom(2**20).hex())
    with (
        small_disk(tmp_path / "disk", "1m") as folder,
        docker_registry.running(program, folder) as address,
    ):
        target = registry.connect(factory.tools, f"{address}/team/worker")
        with pytest.raises(RegistryError, match="the registry failed; see its log and its free"):
            small_releases.publish(factory.publisher(target), draft)
        assert target.resolve(":slim") is None


def test_release_that_loses_its_version_to_another_one_ends_with_exit_code_7(
    proxy: Proxy, repository: Repository, shared_registry: str, factory: Factory
) -> None:
    """The floating tag names the release that has the version."""
    ours, others = factory.draft("one"), factory.draft("two")
    for draft in (ours, others):
        publisher = factory.publisher(repository)
        publisher.publish(draft, small_releases.statements(draft))
    direct = replace(repository, name=repository.name.replace(proxy.address, shared_registry))

    def overtake() -> bool:
        direct.tag(others.digest, others.tag)
        return True

    proxy.faults = [Fault("PUT .*/manifests/1.0-slim", overtake, after=True)]
    with pytest.raises(PolicyError, match="another release took"):
        factory.publisher(repository).tag(ours)
    assert repository.resolve(":1.0-slim") == repository.resolve(":slim") == others.digest


@pytest.mark.parametrize("locked", [True, False], ids=["one machine", "two machines"])
def test_one_of_two_releases_gets_a_version(
    locked: bool, shared_registry: str, name: str, factory: Factory, tmp_path: Path
) -> None:
    """The other one ends with exit code 7, also on another machine, which has its own lock."""
    target = registry.connect(factory.tools, f"{shared_registry}/{name}")
    for text in ("one", "two"):
        draft = factory.draft(text)
        factory.publisher(target).publish(draft, small_releases.statements(draft))
    for number in range(ROUNDS):
        won, lost = race(factory, target, f"r{number}", tmp_path if locked else None)
        assert (len(won), len(lost)) == (1, 1)
        assert target.resolve(f":r{number}-slim") == target.resolve(":slim") == won[0]


def race(
    factory: Factory, target: Repository, number: str, lock: Path | None
) -> tuple[list[str], list[str]]:
    """Tag one version with two digests at once; return those that won and lost."""
    barrier, won, lost = threading.Barrier(2), list[str](), list[str]()

    def tag(text: str) -> None:
        draft = replace(factory.draft(text), tag=f"{number}-slim")
        publisher = factory.publisher(target, settle=0.1 if lock else 2.0)
        barrier.wait()
        with record.exclusive(lock, lambda _: None) if lock else contextlib.nullcontext():
            try:
                publisher.tag(draft)
                won.append(draft.digest)
            except PolicyError:
                lost.append(draft.digest)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(tag, text) for text in ("one", "two")]:
            done.result()
    return won, lost
