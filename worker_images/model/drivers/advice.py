"""Why a release does not serve a driver, and how to fix that: the one source of such advice."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker_images.model.drivers import kernel
from worker_images.model.drivers.table import (
    KNOWN,
    SUPPORTED,
    Release,
    Span,
    Table,
    full,
    order,
)
from worker_images.model.drivers.version import near

# The four pins of a release: version, packages.version, packages.describe and upstream.sha512.
WITH_OTHER_PINS = "with its other pins (./build.py update --write, or all four by hand)"
FLAG = "--nvproxy-allow-unsupported-driver"
NO_MODULE = (
    f"this machine has no NVIDIA kernel driver: neither {kernel.VERSION} nor {kernel.CONTROL}"
    " exists; nvproxy cannot work"
)
# Kinds of machines that no release serves, why, and the next step.
UNSERVABLE = {
    kernel.L4T: (
        "a driver of Jetson (L4T), which no gVisor release serves",
        "keep GPU sandboxes off this machine: no other driver can be installed on it",
    ),
    kernel.WSL: (
        f"{NO_MODULE}; under WSL2 nvidia-smi shows the driver of Windows",
        "use a machine with Linux and NVIDIA's kernel module",
    ),
    kernel.NO_MODULE: (
        NO_MODULE,
        "load the driver's modules, or in a container: give it the GPU",
    ),
}
# NVIDIA's branch 470 is the last one for GPUs of the generation Kepler.
LEGACY = 470
LEGACY_NOTE = " (GPUs older than Maxwell have no newer driver: keep GPU sandboxes off them)"
# Branches 500 to 599 for Linux are multiples of five; Windows has others, too: 553.62, 572.16.
LINUX_BRANCHES = range(500, 600, 5)
WINDOWS = (
    "it looks like a driver for Windows, which nvidia-smi shows under WSL2",
    "use a machine with Linux and NVIDIA's kernel module: nvproxy cannot work under WSL2",
)
VGPU_FIX = (
    "change the host's vGPU software to a release whose guest driver is served: a vGPU guest cannot"
    " take another driver than that of its host"
)


@dataclass(frozen=True)
class Advice:
    """The releases that serve a driver, why one does not, and fixes to choose from."""

    serving: str
    why: str
    fixes: tuple[str, ...]

    @property
    def step(self) -> str:
        """The fixes in one line."""
        return ", or ".join(self.fixes)

    @property
    def text(self) -> str:
        """All of the advice in one line."""
        parts = [] if self.why in ("", self.serving) else [self.why]
        served = " ".join([self.serving, *(f"({why})" for why in parts)]) if self.serving else ""
        return "; ".join(filter(None, [served or self.why, self.step]))


def advise(
    driver: str,
    table: Table,
    release: Release | None = None,
    *,
    fleet: Sequence[str] | None = None,
    together: Sequence[str] = (),
    architecture: str = "",
    kind: str = "",
) -> Advice:
    """Advice for a driver that a release does not serve.

    Without a release, the advice is for one that is not known. `fleet` are the drivers that
    another release must serve; by default those of the table. `together` are further drivers of
    the same question, which go before the fleet. `kind` is that of kernel.Machine.
    """
    if found := UNSERVABLE.get(kind or kernel.kind_of(driver)):
        return Advice("", found[0], (found[1],))
    if _is_windows(driver) and full(driver) not in table.drivers:
        return Advice("", f"{serving(driver, table)}; {WINDOWS[0]}", (WINDOWS[1],))
    fixes = [
        *_other_release(driver, table, table.fleet if fleet is None else fleet, together),
        *_other_driver(driver, table, release, architecture, kind),
        *_flag(driver, table, release),
    ]
    return Advice(serving(driver, table), _why(driver, table, release), tuple(fixes))


def serving(driver: str, table: Table) -> str:
    """The releases that serve a driver, as spans."""
    spans = [span for span in table.spans(driver) if span.status == SUPPORTED]
    if not spans:
        return f"no gVisor release up to {table.newest} serves {driver}"
    names = " and ".join(_range(span) for span in spans)
    return f"gVisor releases {names} serve {driver}"


def _range(span: Span) -> str:
    return f"{span.first} to {span.last}"


def _why(driver: str, table: Table, release: Release | None) -> str:
    """Why a release does not serve a driver: the releases that dropped it and first served it."""
    if release and release.status(driver) == SUPPORTED:
        return ""
    if release and release.status(driver) == KNOWN:
        return f"known and not supported: served only with {FLAG}"
    served = [span for span in table.spans(driver) if span.status == SUPPORTED]
    if not served:
        return serving(driver, table) if release else ""
    if not release:
        return _changes(table, served)
    before = [span for span in served if order(span.first) < order(release.name)]
    after = [span for span in served if order(span.first) >= order(release.name)]
    parts = [_dropped(table, span) for span in before[-1:]]
    begun = "back in" if before else "first served in"
    return ", ".join([*parts, *(f"{begun} {span.first}" for span in after[:1])])


def _is_windows(driver: str) -> bool:
    branch, *rest = map(int, driver.split("."))
    return len(rest) == 1 and 500 < branch < 600 and branch not in LINUX_BRANCHES


def _changes(table: Table, served: Sequence[Span]) -> str:
    """Each release that dropped a driver or took it back."""
    parts: list[str] = []
    for index, span in enumerate(served):
        parts += [f"back in {span.first}"] if index else []
        is_last = span.begin + len(span.releases) == len(table.releases)
        parts += [] if is_last else [_dropped(table, span)]
    return ", ".join(parts)


def _dropped(table: Table, span: Span) -> str:
    return f"dropped in {table.releases[span.begin + len(span.releases)].name}"


def _other_release(
    driver: str, table: Table, fleet: Sequence[str], together: Sequence[str]
) -> list[str]:
    """The newest release that serves the driver, and the others if one does."""
    others = ((*together, *fleet), together, fleet, ())
    found = (table.serving(driver, *each)[-1:] for each in others)
    fixes = []
    for row in next(filter(None, found), ()):
        notes = [_lost(row, [each for each in together if each not in fleet], "")]
        notes.append(_lost(row, fleet, " of the fleet"))
        fixes.append(f"set gvisor.version to {row.name} {WITH_OTHER_PINS}{''.join(notes)}")
    return fixes


def _lost(row: Release, drivers: Sequence[str], of: str) -> str:
    lost = [each for each in drivers if row.status(each) != SUPPORTED]
    return f" (which does not serve {', '.join(lost)}{of})" if lost else ""


def _other_driver(
    driver: str, table: Table, release: Release | None, architecture: str, kind: str
) -> list[str]:
    """The nearest driver that the release serves and that exists for the architecture."""
    if kind == kernel.VGPU:
        return [VGPU_FIX]
    if not release:
        return ["install a driver that this runsc lists: runsc nvproxy list-supported-drivers"]
    legacy = LEGACY_NOTE if int(driver.partition(".")[0]) <= LEGACY else ""
    return [
        f"install driver {each}{_only_for(each, table, architecture)}{legacy}"
        for each in nearest(driver, release, table, architecture)
    ]


def _flag(driver: str, table: Table, release: Release | None) -> list[str]:
    """The flag with which a release that knows the driver serves it."""
    if release:
        return [f"give runsc {FLAG}"] if release.status(driver) == KNOWN else []
    spans = [span for span in table.spans(driver) if span.status == KNOWN]
    return [f"give runsc {FLAG} (releases {_range(span)})" for span in spans[-1:]]


def nearest(driver: str, release: Release, table: Table, architecture: str = "") -> tuple[str, ...]:
    """The served driver that is nearest: the next newer one, or else the last older one."""
    among = [each for each in release.supported if table.exists(each, architecture)]
    return near(full(driver), among)[-1:]


def _only_for(driver: str, table: Table, architecture: str) -> str:
    """A note for a driver that some architecture does not have; empty if that one is known."""
    absent = [name for name in sorted(table.not_built_for) if not table.exists(driver, name)]
    return f" (not published for {', '.join(absent)})" if absent and not architecture else ""
