"""Did a sandbox start in the pod, and if not, why?"""

from worker_images.model.drivers.table import Table
from worker_images.node import diagnose
from worker_images.node.place import CommandResult
from worker_images.node.pod.finding import Finding
from worker_images.node.pod.permissions import Permissions

FATAL = "FATAL ERROR: "
HUNG = "the sandbox did not end in"


def why(text: str, permissions: Permissions, drivers: Table) -> str:
    """The cause and the next step of a sandbox that did not start."""
    causes = {cause.name: cause for cause in diagnose.explain(text, drivers)}
    is_blocked = "forbidden" in causes or "cannot read client sync file" in text
    if is_blocked and permissions.filters:
        return (
            f"runsc cannot create a sandbox: the pod's {permissions.filters} blocks it; set"
            " seccompProfile and appArmorProfile to type Unconfined in the container's"
            " securityContext"
        )
    for cause in causes.values():
        return f"{cause.message}; {cause.step}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line.partition(FATAL)[2] for line in lines if FATAL in line]
    hung = [line for line in lines if line.startswith(HUNG)]
    shown = [*hung, *fatal, *lines[-1:], "no output"][0]
    return f"runsc failed: {shown}; read its debug log: python3 -m worker_images.node explain LOG"


def started(found: CommandResult, log: str, permissions: Permissions, drivers: Table) -> Finding:
    """Check that a sandbox started, and that its kernel is gVisor's."""
    text = f"{found.output}\n{found.errors}".strip()
    if found.status == 0 and "gvisor" in found.output:
        return Finding(found.output.splitlines()[0])
    return Finding(text or "no output", why(f"{text}\n{log}", permissions, drivers))
