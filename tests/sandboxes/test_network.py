"""Does a sandbox reach the outside through its own network, and only so?"""

import pytest

from tests.sandboxes.launcher import HOOK_PATH, Launcher, Sandbox
from tests.sandboxes.networks import FIRST, ISOLATE, MASQUERADE, RESOLVER, SECOND, Network
from tests.sandboxes.places import GREETING, PORT, Neighbour
from tests.sandboxes.scripts import WAIT
from worker_images.harness.options import not_run

PAGE = "from the sandbox"
ADDRESS = f"10.200.{FIRST}.2"


def fetch(url: str) -> str:
    """A command that fetches a page, or fails after some seconds."""
    return f"exec wget -q -T 4 -O - {url}"


def test_page_of_the_neighbour_arrives_through_address_translation(
    network: Network, neighbour: Neighbour
) -> None:
    """Without the rule for it no answer comes back."""
    run = network.launcher.run
    found = run(fetch(neighbour.url), network.namespace())
    assert (found.status, found.output.decode()) == (0, f"{GREETING}\n"), found.text
    with network.without(MASQUERADE):
        other = run(fetch(neighbour.url), network.namespace())
    assert (other.status, other.output) == (1, b"")
    assert "timed out" in other.text


def test_name_service_of_the_worker_answers_in_the_sandbox(network: Network, name: str) -> None:
    """A sandbox without a network does not reach it."""
    launcher, look = network.launcher, f"exec nslookup -type=a {name}"
    expected = launcher.worker("getent ahostsv4 $1", name).split()[0]
    found = launcher.run(look, network.namespace())
    assert found.status == 0, found.text
    assert f"Address: {expected}" in found.output.decode().splitlines()
    alone = launcher.run(look, Sandbox(mounts=((RESOLVER, str(RESOLVER)),)))
    assert alone.status == 1
    assert "Network is unreachable" in alone.text


def test_namespace_serves_one_sandbox(network: Network, neighbour: Neighbour) -> None:
    """runsc takes its address; runc leaves it."""
    namespace, launcher = network.namespace(), network.launcher
    assert launcher.run(fetch(neighbour.url), namespace).status == 0
    second = launcher.run(fetch(neighbour.url), namespace)
    if launcher.kind == HOOK_PATH:
        assert second.status == 0
    else:
        assert second.status == 1
        assert "Network is unreachable" in second.text


def test_worker_reaches_a_server_in_the_sandbox(network: Network) -> None:
    client = f'"$2/rootfs/bin/wget" -q -T 4 -O - http://{ADDRESS}:{PORT}/page'
    assert serve(network, client) == f"{PAGE}\n"


def test_sandboxes_do_not_reach_each_other(network: Network) -> None:
    """Without the rule that drops their packets they do."""

    def client() -> str:
        page = fetch(f"http://{ADDRESS}:{PORT}/page")
        bundle = network.launcher.bundle(page, network.namespace(SECOND))
        return f"{network.launcher.command(bundle, 'run')} 2>&1"

    assert "timed out" in serve(network, client())
    with network.without(ISOLATE):
        assert serve(network, client()) == f"{PAGE}\n"


def serve(network: Network, client: str) -> str:
    """Run a server in the first sandbox and a command of the worker; return its output."""
    launcher = network.launcher
    server = f"""cd /tmp && echo {PAGE} > page
httpd -p {PORT} && echo ready && read -r end"""
    bundle = launcher.bundle(server, network.namespace(FIRST))
    script = f"""{WAIT}
mkfifo "$1/input"
{launcher.command(bundle, "run")} < "$1/input" > "$1/output" 2>&1 &
exec 3> "$1/input"
until_line "$1/output" ready && {client}
exec 3>&-
wait $! || true"""
    return launcher.worker(script, bundle.path, launcher.folder)


@pytest.fixture
def name(neighbour: Neighbour, pytestconfig: pytest.Config) -> str:
    """A name that the workers' name service knows."""
    if not neighbour.name:
        not_run(pytestconfig, "sandboxes", "the pod's name service has no name to resolve")
    return neighbour.name


def test_rootless_sandbox_has_the_network_of_the_worker(
    unprivileged: Launcher, neighbour: Neighbour, name: str
) -> None:
    """With --network=none it reaches nothing."""
    host = Sandbox("host", mounts=((RESOLVER, str(RESOLVER)),))
    found = unprivileged.run(f"{fetch(neighbour.url)[5:]} && nslookup -type=a {name}", host)
    assert found.status == 0, found.text
    assert found.output.decode().splitlines()[0] == GREETING
    alone = unprivileged.run(fetch(neighbour.url))
    assert alone.status == 1
    assert "Network is unreachable" in alone.text


def test_rootless_sandbox_gets_no_network_of_its_own(unprivileged: Launcher) -> None:
    found = unprivileged.run("exit 0", Sandbox("/run/netns/job-1"))
    assert found.status == 128
    assert (
        "sandbox network isn't supported with --rootless, use --network=none or --network=host"
        in found.text
    )
