"""Did a sandbox start in the pod, and if not, why?"""

import shlex

from worker_images.model.drivers.table import Table
from worker_images.node.explain import diagnose
from worker_images.node.place import CommandResult
from worker_images.node.pod.finding import Finding
from worker_images.node.pod.permissions import Permissions

FATAL = "FATAL ERROR: "
HUNG = "the sandbox did not end in"
# gVisor sets its standard streams to non-blocking. With those of an open shell, later output would
# be cut off. A sandbox that hangs must not take the shell with it: other checks would not run.
SCRIPT = """begin=$(date +%s)
timeout --kill-after=5 {seconds} sh -c {line} > {folder}/output 2> {folder}/errors
status=$?
cat {folder}/output
cat {folder}/errors >&2
if [ "$status" -ne 0 ] && [ $(($(date +%s) - begin)) -ge {seconds} ]; then
  echo "{hung} {seconds} seconds" >&2
fi
exit $status"""


def script(line: str, folder: str, seconds: int) -> str:
    """The script that runs a command line of runsc in a pod, for some seconds at most."""
    return SCRIPT.format(line=shlex.quote(line), folder=folder, seconds=seconds, hung=HUNG)


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
