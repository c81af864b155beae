"""Turn facts of this machine into rows: one per subject, each fault with its fix.

`survey` gathers the facts.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from worker_images.build.machine import Machine, check_engine_can_start
from worker_images.errors import EngineError
from worker_images.files import CACHE, ENGINE
from worker_images.model.drivers.advice import advise
from worker_images.model.drivers.table import KNOWN, SUPPORTED, Table
from worker_images.model.kernel_settings import SETTINGS

State = Literal["ok", "warning", "fault"]
# The capabilities that the private engine needs, by the kernel's numbers.
CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}
PROXY = re.compile(
    r"(?:https?://)?(?:[^/?#@]*@)?([\w.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?/?", re.ASCII
)
DEVICES = {
    "/dev/nvidiactl": "nvidiactl",
    "/dev/nvidia-uvm": "nvidia-uvm",
    "/dev/nvidia0": "nvidia[0-9]+",
}


@dataclass(frozen=True)
class Probe:
    """The result of a probe: what it found, or an error message, `what; next step`.

    Both are empty if it found nothing.
    """

    found: str = ""
    error: str = ""


@dataclass(frozen=True)
class Facts:
    """What was found: `probes` are the checks that a build makes; `proxies` include passwords.

    Without a GPU `driver` is empty.
    """

    probes: Mapping[str, Probe]
    machine: Machine
    capabilities: int
    proxies: Mapping[str, str]
    kernel: Mapping[str, int]
    driver: str
    devices: tuple[str, ...]
    release: str
    releases: Table
    # What a Kubernetes cluster on this machine would lack, each with its fix.
    cluster: tuple[str, ...] = ()
    # The file system on which a private engine would copy layers; empty if it would share them, or
    # if that is unknown.
    layers_copied_on: str = ""


@dataclass(frozen=True)
class Row:
    """One subject, its state, and the fix if it is not ok."""

    subject: str
    state: State
    found: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.state:8} {self.subject:13} {self.found}" + (
            f"\n{'':22} → {self.fix}" if self.fix else ""
        )


def rows(facts: Facts) -> tuple[Row, ...]:
    """Return a row for every subject, ok or not."""
    probes = {**facts.probes, "user": _user(facts), "proxies": _proxies(facts.proxies)}
    return (
        *(_row(subject, probe) for subject, probe in probes.items()),
        *_layers(facts),
        *_kernel(facts.kernel),
        *_cluster(facts),
        *_gpu(facts),
    )


def _row(subject: str, probe: Probe) -> Row:
    what, _, fix = probe.error.rpartition("; ")
    return Row(subject, "fault", what, fix) if fix else Row(subject, "ok", probe.found or "none")


def _user(facts: Facts) -> Probe:
    """Check the user's rights, which only starting an engine needs."""
    if facts.probes["engine"] != Probe():
        return Probe(
            "root" if facts.machine.root else "not root; only starting an engine needs root"
        )
    try:
        check_engine_can_start(facts.machine)
    except EngineError as error:
        return Probe(error=str(error))
    missing = " and ".join(
        name for bit, name in CAPABILITIES.items() if not facts.capabilities >> bit & 1
    )
    fix = "run this container with --privileged, or set DOCKER_HOST to another engine"
    return Probe(
        "root; a build starts the private engine",
        missing and f"root without {missing} cannot start an engine; {fix}",
    )


def _layers(facts: Facts) -> Iterator[Row]:
    """Warn if a private engine would copy layers."""
    if facts.layers_copied_on and facts.probes["engine"] == Probe():
        found = (
            f"{ENGINE} would be on {facts.layers_copied_on}, which does not support overlays:"
            " layers are copied, which takes time and space"
        )
        fix = (
            f"mount a volume: docker run --volume worker-cache:{CACHE}; or set XDG_CACHE_HOME to a"
            " folder on ext4 or xfs"
        )
        yield Row("layers", "warning", found, fix)


def _cluster(facts: Facts) -> Iterator[Row]:
    """Warn if no cluster can start; only `make cluster` needs one."""
    for fault in facts.cluster:
        what, _, fix = fault.rpartition("; ")
        yield Row("cluster", "warning", f"make cluster cannot start one: {what}", fix)
    if not facts.cluster:
        yield Row("cluster", "ok", "make cluster can start one")


def _proxies(proxies: Mapping[str, str]) -> Probe:
    """Check the proxy variables; show only hosts, because the rest may contain a password."""
    hosts = {name: PROXY.fullmatch(address) for name, address in proxies.items()}
    invalid = ", ".join(name for name, host in hosts.items() if not host)
    fix = "write http://USER:PASSWORD@HOST:PORT, with %2F for a / and %40 for an @ in the password"
    found = ", ".join(f"{name} {host[1]}" for name, host in hosts.items() if host)
    return Probe(found, invalid and f"not the address of an HTTP proxy: {invalid}; {fix}")


def _kernel(values: Mapping[str, int]) -> Iterator[Row]:
    bad = {name: value for name, value in values.items() if value not in SETTINGS[name].good}
    for name, value in bad.items():
        setting = SETTINGS[name]
        yield Row(
            "kernel", setting.state, f"{name} is {value}: {setting.why}", setting.fix.format(name)
        )
    if not bad:
        yield Row("kernel", "ok", ", ".join(f"{name} {value}" for name, value in values.items()))


def _gpu(facts: Facts) -> Iterator[Row]:
    if not facts.driver:
        yield Row("gpu", "ok", "no GPU on this machine: workload checks do not run")
        return
    missing = ", ".join(
        path
        for path, name in DEVICES.items()
        if not any(re.fullmatch(name, device) for device in facts.devices)
    )
    fix = "nvidia-modprobe -u -c 0; in a container: start the container with its GPU devices"
    found = (
        f"NVIDIA driver {facts.driver}, {f'without {missing}' if missing else 'with its devices'}"
    )
    yield Row("gpu", "warning" if missing else "ok", found, missing and fix)
    yield _served(facts)


def _served(facts: Facts) -> Row:
    """Check that the pinned gVisor serves the driver; otherwise sandboxes fail with only EOF."""
    release, driver, pinned = facts.release, facts.driver, facts.releases.get(facts.release)
    if not pinned:
        return Row(
            "gvisor",
            "warning",
            f"drivers.json has no entry for {release}",
            "add it to images/components/gvisor/drivers.json",
        )
    support = pinned.status(driver)
    if support == SUPPORTED:
        return Row("gvisor", "ok", f"{release} serves driver {driver}")
    step = advise(driver, facts.releases, pinned).step
    if support == KNOWN:
        text = f"{release} knows driver {driver} but does not support it"
        return Row("gvisor", "warning", text, step)
    return Row("gvisor", "fault", f"{release} does not serve driver {driver}", step)
