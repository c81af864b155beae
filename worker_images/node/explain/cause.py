"""A known cause of a failed sandbox, from a match of its signature."""

from dataclasses import dataclass

from worker_images.model.drivers.advice import advise
from worker_images.model.drivers.table import Table
from worker_images.node.explain import signatures, xids
from worker_images.node.explain.events import Event
from worker_images.node.explain.signatures import LogSignature

CALLS = "wrong ABI"
HARMLESS = "harmless call"


@dataclass(frozen=True)
class Cause:
    """A known cause: its name, the line that shows it and its place, a message, the next step.

    A line of Kubernetes' events is of an object, such as a pod.
    """

    name: str
    line: str
    message: str
    step: str
    place: str = ""
    of: str = ""


@dataclass
class Hit:
    """A match of a signature: its first line and place, its groups, and where it was last seen."""

    signature: LogSignature
    groups: tuple[str, ...]
    line: str
    place: str
    last: tuple[int, int]
    event: Event | None = None

    @property
    def file(self) -> str:
        """The file of the first line."""
        return self.place.rpartition(":")[0]


def is_harmless(hit: Hit) -> bool:
    """Whether a match is of a call of which programs do not need the answer."""
    return hit.signature.name == CALLS and bool(signatures.harmless(hit.groups[0]))


def of(hit: Hit, drivers: Table, release: str, architecture: str) -> Cause:
    """The cause that a match shows, in the log of a runsc of this release and architecture."""
    signature = hit.signature
    call = hit.groups[0] if hit.groups else ""
    if is_harmless(hit):
        why = f"nvproxy has no handler for {call}: {signatures.harmless(call)}"
        return Cause(HARMLESS, hit.line, why, "nothing to do for this call", hit.place)
    values = {}
    if signature.name == "unserved driver":
        served = drivers.get(release)
        values["advice"] = advise(call, drivers, served, architecture=architecture).text
    if signature.name == "missing capability":
        values["capability"] = signatures.capability(call)
    if "{xid}" in signature.message:
        number = next(filter(None, hit.groups), "")
        values["xid"] = f" ({xids.described(number)})" if number else ""
    message = signature.message.format(*hit.groups, **values)
    step = signature.step.format(*hit.groups, **values)
    event = hit.event.of if hit.event else ""
    return Cause(signature.name, hit.line, message, step, hit.place, event)
