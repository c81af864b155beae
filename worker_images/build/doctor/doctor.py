"""What this machine lacks: facts to rows, one a matter, each with its fix.

`survey` gathers the facts.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from worker_images.build.machine import Machine, check_engine_can_start
from worker_images.errors import EngineError
from worker_images.files import CACHE, ENGINE
from worker_images.model.drivers.table import KNOWN, SUPPORTED, Table
from worker_images.model.kernel_settings import SETTINGS

State = Literal["ok", "warning", "fault"]
# What starting the private engine takes, by the kernel's numbers.
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
class Answer:
    """What was found, or a refusal in an error's words, `what; next step`.

    Neither where nothing was there.
    """

    found: str = ""
    refusal: str = ""


@dataclass(frozen=True)
class Facts:
    """What was seen: `answers` of a build's own checks; proxies with their passwords.

    Without a GPU `driver` is empty.
    """

    answers: Mapping[str, Answer]
    machine: Machine
    capabilities: int
    proxies: Mapping[str, str]
    kernel: Mapping[str, int]
    driver: str
    devices: tuple[str, ...]
    release: str
    releases: Table
    # The file system on which an engine started here would copy layers; empty where it would share
    # them, or cannot be asked.
    copying: str = ""


@dataclass(frozen=True)
class Row:
    """One matter, and what to do where it is not ok."""

    matter: str
    state: State
    found: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.state:8} {self.matter:13} {self.found}" + (
            f"\n{'':22} → {self.fix}" if self.fix else ""
        )


def rows(facts: Facts) -> tuple[Row, ...]:
    """Every matter, ok or not."""
    answers = {**facts.answers, "user": _user(facts), "proxies": _proxies(facts.proxies)}
    return (
        *(_row(matter, answer) for matter, answer in answers.items()),
        *_layers(facts),
        *_kernel(facts.kernel),
        *_gpu(facts),
    )


def _row(matter: str, answer: Answer) -> Row:
    what, _, fix = answer.refusal.rpartition("; ")
    return Row(matter, "fault", what, fix) if fix else Row(matter, "ok", answer.found or "none")


def _user(facts: Facts) -> Answer:
    """Rights matter only where an engine has to be started."""
    if facts.answers["engine"] != Answer():
        return Answer(
            "root" if facts.machine.root else "not root; only starting an engine would ask for it"
        )
    try:
        check_engine_can_start(facts.machine)
    except EngineError as error:
        return Answer(refusal=str(error))
    lacking = " and ".join(
        name for bit, name in CAPABILITIES.items() if not facts.capabilities >> bit & 1
    )
    fix = "run this container with --privileged, or set DOCKER_HOST to an engine of yours"
    return Answer(
        "root; a build starts an engine",
        lacking and f"root without {lacking} cannot start an engine; {fix}",
    )


def _layers(facts: Facts) -> Iterator[Row]:
    """Only an engine that has to be started would keep its layers here."""
    if facts.copying and facts.answers["engine"] == Answer():
        found = (
            f"{ENGINE} would be on {facts.copying}, which carries no overlays: layers are copied,"
            " which takes time and space"
        )
        fix = (
            f"mount a volume: docker run --volume worker-cache:{CACHE}; or set XDG_CACHE_HOME to a"
            " folder on ext4 or xfs"
        )
        yield Row("layers", "warning", found, fix)


def _proxies(proxies: Mapping[str, str]) -> Answer:
    """Hosts alone: all else may be a password."""
    hosts = {name: PROXY.fullmatch(address) for name, address in proxies.items()}
    wrong = ", ".join(name for name, host in hosts.items() if not host)
    fix = "write http://USER:PASSWORD@HOST:PORT, with %2F for a / and %40 for an @ in the password"
    found = ", ".join(f"{name} {host[1]}" for name, host in hosts.items() if host)
    return Answer(found, wrong and f"not the address of an HTTP proxy: {wrong}; {fix}")


def _kernel(values: Mapping[str, int]) -> Iterator[Row]:
    wrong = {name: value for name, value in values.items() if value not in SETTINGS[name].good}
    for name, value in wrong.items():
        setting = SETTINGS[name]
        yield Row(
            "kernel", setting.state, f"{name} is {value}: {setting.why}", setting.fix.format(name)
        )
    if not wrong:
        yield Row("kernel", "ok", ", ".join(f"{name} {value}" for name, value in values.items()))


def _gpu(facts: Facts) -> Iterator[Row]:
    if not facts.driver:
        yield Row("gpu", "ok", "no GPU here: workload checks do not run")
        return
    missing = ", ".join(
        path
        for path, name in DEVICES.items()
        if not any(re.fullmatch(name, device) for device in facts.devices)
    )
    fix = "nvidia-modprobe -u -c 0; in a container, start it with the devices of its GPU"
    found = (
        f"NVIDIA driver {facts.driver}, {f'without {missing}' if missing else 'with its devices'}"
    )
    yield Row("gpu", "warning" if missing else "ok", found, missing and fix)
    yield _served(facts)


def _served(facts: Facts) -> Row:
    """Whether the pinned gVisor serves the driver: with one that it does not serve, users see only
    EOF.
    """
    release, driver, pinned = facts.release, facts.driver, facts.releases.get(facts.release)
    if not pinned:
        return Row(
            "gvisor",
            "warning",
            f"drivers.json has no entry for {release}",
            "add it to images/components/gvisor/drivers.json",
        )
    answer = pinned.status(driver)
    if answer == SUPPORTED:
        return Row("gvisor", "ok", f"{release} serves driver {driver}")
    serving = facts.releases.serving(driver)[-1:]
    fixes = [
        *(f"pin gvisor {each.name} in versions.yaml" for each in serving),
        f"install driver {pinned.supported[-1]}",
    ]
    if answer == KNOWN:
        fixes.append("give runsc --nvproxy-allow-unsupported-driver")
        return Row(
            "gvisor",
            "warning",
            f"{release} knows driver {driver} and does not support it",
            ", or ".join(fixes),
        )
    return Row("gvisor", "fault", f"{release} does not serve driver {driver}", ", or ".join(fixes))
