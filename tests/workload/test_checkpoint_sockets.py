"""Which sockets work after a checkpoint and a restore? No check here needs a GPU."""

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.workload.checkpoints import Checkpoints
from tests.workload.sandboxes import PROBES, Sandboxes, Seen
from worker_images.harness.options import not_run
from worker_images.node import place
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.place import Place
from worker_images.node.session import Sandbox

pytestmark = pytest.mark.not_in_a_pod

SOCKETS = f"{PROBES_MOUNT}/sockets.py"
# The name of the connection in what the probe prints.
CONNECTION = "TCP to the outside"
OUTSIDE, INSIDE, OTHER = "10.231.7.1", "10.231.7.2", "10.231.7.3"
# Joins two network namespaces, that of the peer and that of sandboxes. The machine's own is not
# changed.
JOIN = f"""set -e
ip netns attach peer "$1"
ip netns attach inside "$2"
ip -n peer link add eth0 type veth peer name eth0 netns inside
ip -n peer address add {OUTSIDE}/29 dev eth0
ip -n peer link set eth0 up
"""
# runsc takes the address from the interface, so the next sandbox needs it again.
ADDRESS = """set -e
ip netns attach inside "$1"
ip -n inside link set lo up
ip -n inside address flush dev eth0
ip -n inside address add "$2/29" dev eth0
ip -n inside link set eth0 up
"""


@dataclasses.dataclass(frozen=True)
class Network:
    """The network namespace of a process, and the port of a peer outside of it."""

    place: Place
    process: int
    port: int

    @property
    def path(self) -> str:
        """The path of the namespace."""
        return f"/proc/{self.process}/ns/net"

    def prepare(self, address: str = INSIDE) -> None:
        """Give the interface its address, for one sandbox."""
        found = place.run(self.place, ["sh", "-c", ADDRESS, "sh", str(self.process), address])
        assert found.status == 0, found.errors


@pytest.fixture
def python_sandboxes(image_sandboxes: Sandboxes, worker: Place) -> Checkpoints:
    """Sandboxes with the node's root, for the user's python."""
    own = dataclasses.replace(image_sandboxes, rootfs=worker.clean_root)
    return Checkpoints(own, "")


@pytest.fixture
def network(worker: Place, pytestconfig: pytest.Config) -> Iterator[Network]:
    """A network of two namespaces, with a server in one of them."""
    with contextlib.ExitStack() as stack:
        own = ["unshare", "--net"]
        serve = [*own, pytestconfig.getoption("python"), str(PROBES / "peer.py")]
        peer = stack.enter_context(subprocess.Popen(serve, stdout=subprocess.PIPE, text=True))
        stack.callback(peer.kill)
        port = (peer.stdout.readline() if peer.stdout else "").strip()
        inside = stack.enter_context(
            subprocess.Popen(
                [*own, "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE
            )
        )
        stack.callback(inside.kill)
        ready = inside.stdout.readline() if inside.stdout else b""
        found = place.run(worker, ["sh", "-c", JOIN, "sh", str(peer.pid), str(inside.pid)])
        if found.status or not (port and ready):
            not_run(pytestconfig, "workload", f"no network namespaces: {found.errors.strip()}")
        yield Network(worker, inside.pid, int(port))


def states(sandbox: Sandbox) -> dict[str, str]:
    """What a program finds at its sockets, in its next line."""
    found: dict[str, str] = json.loads(sandbox.lines.next())
    return found


def test_sockets_inside_the_sandbox_survive(
    python_sandboxes: Checkpoints, root_python: str, seen: Seen
) -> None:
    """TCP and UDP on the loopback interface, Unix sockets, and a socket that listens."""
    bundle = python_sandboxes.bundle(root_python, SOCKETS)
    with python_sandboxes.opened(bundle) as opened:
        before = json.loads(opened.saved(opened.started("")))
        restored = opened.session.restore(opened.image())
        states(restored)
        after = states(restored)
    seen(str(after))
    assert {*before.values()} == {"works"}
    assert after == before


@pytest.mark.parametrize("address", [INSIDE, OTHER])
def test_connection_to_the_outside_needs_the_same_address(
    address: str, python_sandboxes: Checkpoints, root_python: str, network: Network, seen: Seen
) -> None:
    """With another address it ends with an error, and the program can open a new one."""
    command = (root_python, SOCKETS, OUTSIDE, str(network.port))
    bundle = python_sandboxes.bundle(*command, network=network.path)
    network.prepare()
    with python_sandboxes.opened(bundle, "--network=sandbox") as opened:
        before = json.loads(opened.saved(opened.started("")))
        network.prepare(address)
        restored = opened.session.restore(opened.image())
        states(restored)
        after = states(restored)
    seen(f"{INSIDE}, then {address}: {after}")
    assert {*before.values()} == {"works"}
    assert (after.pop(CONNECTION) == "works") is (address == INSIDE)
    assert {*after.values()} == {"works"}
