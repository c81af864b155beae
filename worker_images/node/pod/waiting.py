"""Why a container of a pod does not run, as far as its object shows it."""

from worker_images.model.drivers.fleet import LABEL
from worker_images.node.pod.objects import Object, status_of
from worker_images.untrusted import shown

# The longest text of the cluster in a message.
MESSAGE = 1000
STEPS = {
    "Insufficient nvidia.com/": "its GPUs are in use or not advertised: end the pod that has the"
    " GPU, or add a node",
    # Not rules of anti-affinity.
    "node affinity/selector": "no node has a label that the manifest requires; compare the image's"
    f" drivers with: kubectl get nodes --label-columns {LABEL}",
}


def reason(found: Object, container: str, describe: str) -> str:
    """Why a container does not run, and the next step; empty if it runs.

    `describe` is the command that shows more.
    """
    status, state = found.get("status", {}), status_of(found, container).get("state", {})
    if "deletionTimestamp" in found["metadata"]:
        return "it is being deleted; name another pod"
    if "running" in state:
        return ""
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            message = shown(condition.get("message", "not scheduled"), MESSAGE)
            steps = [step for part, step in STEPS.items() if part in message]
            return f"Pending: {message}; {(steps or [describe])[0]}"
    if refusal := _refusal(status):
        return refusal
    why: Object = next(iter(state.values()), {})
    reason = why.get("reason") or status.get("reason") or status.get("phase", "no status")
    message = why.get("message") or status.get("message") or f"container {container}"
    return f"{shown(f'{reason}: {message}', MESSAGE)}; see: {describe}"


def _refusal(status: Object) -> str:
    """Why an init container ended with an error; empty if none did."""
    for each in status.get("initContainerStatuses", []):
        for state in (each.get("state", {}), each.get("lastState", {})):
            ended = state.get("terminated", {})
            if ended.get("exitCode"):
                message = shown(ended.get("message", ""), MESSAGE)
                message = message or f"exit code {ended['exitCode']}"
                return f"init container {each['name']} ended: {message}"
    return ""
