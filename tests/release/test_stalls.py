"""Does a release end if its registry accepts connections and stops responding?"""

import socket
import time
from dataclasses import replace

import pytest

from tests.support import small_releases
from tests.support.registry_proxy import Fault, Proxy
from tests.support.small_releases import Factory
from worker_images.errors import RegistryError
from worker_images.release import registry
from worker_images.release.registry import Repository

# More than one pause of a registry that works, on a slow machine.
STALL = 5.0
# oras repeats nothing that is ended, so one command ends the release.
LIMIT = 4 * STALL


def test_registry_that_never_responds_ends_the_command(factory: Factory) -> None:
    """It accepts the connection; the message has the next step."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(RegistryError) as refused:
            registry.connect(replace(factory.tools, stall=STALL), f"{address}/team/worker")
    assert STALL < time.monotonic() - started < LIMIT
    assert refused.value.exit_code == 6
    assert "timeout: no data for 5 s; check the registry's name, the network" in str(refused.value)


STOPS = {
    "in a tag": Fault("HEAD .*/manifests/1.0-slim", "hang", skip=1),
    "in an upload": Fault("PUT .*/blobs/uploads/", "hang"),
    "in a manifest": Fault("PUT .*/manifests/sha256:", "hang"),
    "in a download": Fault("GET .*/blobs/", "stall"),
}


@pytest.mark.parametrize("case", STOPS)
def test_registry_that_stops_ends_the_release(
    case: str, proxy: Proxy, repository: Repository, factory: Factory
) -> None:
    """No tag moves, and the next release finishes the work."""
    proxy.faults = [STOPS[case].again()]
    target = replace(repository, tools=replace(repository.tools, stall=STALL))
    draft = factory.draft()
    with pytest.raises(RegistryError, match="timeout: no data for 5 s; check the registry's"):
        small_releases.publish(factory.publisher(target), draft)
    assert proxy.faults[0].times == 0, "the fault did not happen"
    proxy.faults = []
    assert repository.resolve(":slim") is repository.resolve(":1.0-slim") is None
    small_releases.publish(factory.publisher(repository), draft)
    assert repository.resolve(":1.0-slim") == draft.digest
