"""The network of a worker's sandboxes, by the commands of docs/launcher.md."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.sandboxes.launcher import Launcher, Sandbox
from tests.sandboxes.page import commands

RESOLVER = Path("/etc/resolv.conf")
# What names the page's rules: for the outside, other sandboxes, and the worker's own ports.
MASQUERADE, ISOLATE, PROTECT, PROTECT_6 = RULES = (
    "MASQUERADE",
    "FORWARD",
    "iptables -A INPUT",
    "ip6tables -A INPUT",
)
FIRST, SECOND = 1, 2
# Removes the network of the job that $1 names, if it has one.
REMOVE = 'if [ -e "/run/netns/$1" ]; then\n{}fi'.format(
    commands("Network")[-1].replace("job-1", '"$1"')
)


def rule(found: str, action: str = "-A") -> str:
    """Return the page's command for a rule, or the one that deletes it."""
    (line,) = [each for each in commands("Network")[0].splitlines() if found in each]
    return line.replace("-A", action, 1)


@dataclass(frozen=True)
class Network:
    """The network of a worker's sandboxes, by the commands of the page."""

    launcher: Launcher

    def namespace(self, number: int = FIRST) -> Sandbox:
        """Create a network namespace, which serves one sandbox, with the worker's name service."""
        name = f"job-{number}"
        commands_ = commands("Network")[1].replace("job-1", name).replace(".1.", f".{number}.")
        self.launcher.worker(f"set -e\n{REMOVE}\n{commands_}", name)
        return Sandbox(f"/run/netns/{name}", mounts=((RESOLVER, str(RESOLVER)),))

    @contextlib.contextmanager
    def without(self, found: str) -> Iterator[None]:
        """Delete a rule for the block."""
        self.launcher.worker(rule(found, "-D"))
        try:
            yield
        finally:
            self.launcher.worker(rule(found))


@contextlib.contextmanager
def prepared(launcher: Launcher) -> Iterator[Network]:
    """Run the commands that a worker needs once; remove the rules and the namespaces."""
    launcher.worker(f"set -e\n{commands('Network')[0]}")
    try:
        yield Network(launcher)
    finally:
        _remove(launcher)


def _remove(launcher: Launcher) -> None:
    for number in (FIRST, SECOND):
        launcher.worker(REMOVE, f"job-{number}")
    deleted = "\n".join(rule(each, "-D") for each in RULES)
    launcher.worker(f"set -e\n{deleted}")
