"""Does a sandbox reach the outside through its own network, and only so?"""

import pytest

from tests.sandboxes.launcher import HOOK_PATH, Launcher, Sandbox
from tests.sandboxes.networks import (
    FIRST,
    ISOLATE,
    MASQUERADE,
    PROTECT,
    PROTECT_6,
    RESOLVER,
    SECOND,
    Network,
)
from tests.sandboxes.places import GREETING, PORT, Neighbour
from tests.sandboxes.scripts import WAIT
from worker_images.harness.options import not_run

PAGE = "from the sandbox"
ADDRESS, GATEWAY = f"10.200.{FIRST}.2", f"10.200.{FIRST}.1"
# The kernel first tests whether the address is in use, and has none meanwhile.
LINK_ADDRESS = """device=$1
shift
for _ in $(seq 100); do
  found=$(ip "$@" -6 -o address show dev "$device" scope link -tentative)
  found=${found#*inet6 }
  found=${found%%/*}
  if [ -n "$found" ]; then echo "$found"; exit; fi
  sleep 0.1
done
exit 1"""


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


def test_sandbox_does_not_reach_ports_of_the_worker(network: Network, neighbour: Neighbour) -> None:
    """Without the rule it does, at each of the worker's addresses."""
    sandbox = network.namespace()
    assert "timed out" in serve_in_the_worker(network, sandbox, GATEWAY)
    with network.without(PROTECT):
        assert serve_in_the_worker(network, network.namespace(), GATEWAY) == f"{PAGE}\n"
    found = network.launcher.run(fetch(neighbour.url), network.namespace())
    assert found.output.decode() == f"{GREETING}\n"


def test_container_does_not_reach_the_worker_by_ipv6(runc_network: Network) -> None:
    """Interfaces have addresses of their link without any command."""
    launcher, sandbox = runc_network.launcher, runc_network.namespace()
    launcher.worker(LINK_ADDRESS, "eth0", "-netns", f"job-{FIRST}")
    address = launcher.worker(LINK_ADDRESS, f"job-{FIRST}").strip()
    ping = f"ping -6 -c 1 -W 4 {address}%eth0"
    blocked = launcher.run(ping, sandbox)
    assert (blocked.status, b"100% packet loss" in blocked.output) == (1, True), blocked.text
    with runc_network.without(PROTECT_6):
        found = launcher.run(ping, sandbox)
    assert found.status == 0, found.text


def serve_in_the_worker(network: Network, sandbox: Sandbox, address: str) -> str:
    """Run a server in the worker and fetch its page in a sandbox; return its output."""
    launcher = network.launcher
    bundle = launcher.bundle(f"{fetch(f'http://{address}:{PORT}/page')} 2>&1", sandbox)
    script = f"""echo {PAGE} > "$1/page"
"$2/rootfs/bin/httpd" -f -p {PORT} -h "$1" > /dev/null 2>&1 & server=$!
for _ in $(seq 100); do
  if "$2/rootfs/bin/wget" -q -O /dev/null http://127.0.0.1:{PORT}/page; then break; fi
  sleep 0.1
done 2> /dev/null
{launcher.command(bundle, "run")} 2>&1
kill $server"""
    return launcher.worker(script, bundle.path, launcher.folder)


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
