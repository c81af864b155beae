"""A worker's pod in a cluster: its objects, read with kubectl, and the command of its shell."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace

from worker_images.model import gpus
from worker_images.node.place import PlaceError, run_command
from worker_images.node.pod import waiting
from worker_images.node.pod.objects import Object
from worker_images.node.pod.waiting import MESSAGE
from worker_images.untrusted import shown

# The options that name a pod, in the order of its fields.
OPTIONS = ("context", "namespace", "pod", "container", "kubectl", "kubeconfig")
SECONDS = 30
NOTICE_SECONDS = 3
# How the message of an event begins that stands for several.
COMBINED = "(combined from similar events): "
# Kinds that own their pods without a replica set between them.
DIRECT = {"ReplicaSet", "StatefulSet", "DaemonSet", "Job"}


class NotFoundError(PlaceError):
    """The cluster responds, and has no such object."""


class ForbiddenError(PlaceError):
    """The cluster responds, and this user may not read the object."""


@dataclass(frozen=True)
class Pod:
    """A pod, and how kubectl reaches it.

    `name` is that of a pod, or KIND/NAME of what creates it, such as deployment/worker. Without
    `container` it is the one that requests a GPU.
    """

    context: str
    namespace: str = "default"
    name: str = "worker"
    container: str = ""
    kubectl: str = "kubectl"
    kubeconfig: str = ""

    @classmethod
    def of(cls, option: Callable[[str], str]) -> "Pod":
        """The pod that the options name, which a function returns."""
        return cls(*map(option, OPTIONS))

    @property
    def command(self) -> tuple[str, ...]:
        """kubectl with the cluster and the namespace."""
        kubeconfig = (f"--kubeconfig={self.kubeconfig}",) if self.kubeconfig else ()
        return (
            self.kubectl,
            *kubeconfig,
            f"--context={self.context}",
            f"--namespace={self.namespace}",
        )

    @property
    def shell(self) -> list[str]:
        """The command that opens a shell in the container."""
        opened = [*self.command, "exec", "--stdin", self.name, f"--container={self.container}"]
        return [*opened, "--", "/bin/sh"]

    def get(self, kind: str, *names: str) -> Object:
        """Return an object of the cluster; raises PlaceError with kubectl's message."""
        words = ["get", kind, *names]
        result = run_command(
            [*self.command, *words, f"--request-timeout={SECONDS}s", "--output=json"]
        )
        what = f"kubectl {shlex.join(words)}"
        if result.status:
            raise _failure(self, what, shown(result.errors, MESSAGE))
        try:
            value: Object = json.loads(result.output)
        except ValueError as error:
            raise PlaceError(f"{what} printed invalid JSON: {error}") from error
        return value

    def wait_for_end(self) -> None:
        """Wait a little until the cluster has noticed that the container ended, if it did."""
        ended = ("wait", "--for=condition=Ready=false", f"--timeout={NOTICE_SECONDS}s")
        run_command([*self.command, *ended, f"pod/{self.name}"])

    def show(self, *words: str) -> str:
        """A command for the user that shows more."""
        return shlex.join(["kubectl", *self.command[1:], *words])


def _failure(pod: Pod, what: str, message: str) -> PlaceError:
    """The error of a kubectl command, with the next step."""
    kind: type[PlaceError] = PlaceError
    step = "check the cluster, its address and your credentials in the kubeconfig"
    if "(NotFound)" in message:
        kind, step = NotFoundError, "check the name"
    elif "(Forbidden)" in message:
        kind, step = ForbiddenError, "use an account that may read it"
    elif "context" in message and "does not exist" in message:
        step = f"list the contexts: {shlex.join([pod.kubectl, 'config', 'get-contexts'])}"
    return kind(f"{what}: {message}; {step}")


def find(pod: Pod) -> tuple[Pod, Object]:
    """Return the pod with the names of its object and container, and the object.

    Raises PlaceError if there is no such pod, or if the container does not run.
    """
    # `kubectl get pods --output=name` prints pod/NAME.
    pod = replace(pod, name=re.sub("^pods?/", "", pod.name))
    try:
        found = _of_owner(pod) if "/" in pod.name else pod.get("pod", pod.name)
    except NotFoundError as error:
        raise PlaceError(f"{error}; {_why_no_pod(pod)}") from error
    name = found["metadata"]["name"]
    named = replace(pod, name=name, container=_container(found, pod.container))
    describe = named.show("describe", "pod", name)
    if problem := waiting.reason(found, named.container, describe):
        raise PlaceError(f"pod {name}: {problem}")
    return named, found


def _of_owner(pod: Pod) -> Object:
    """The running pod of a Deployment or another owner, or else the newest one."""
    owner = pod.get(*pod.name.split("/", 1))
    selects = owner.get("spec", {}).get("selector")
    labels = selects.get("matchLabels") if isinstance(selects, dict) else None
    # Without labels, every pod of the namespace would match.
    if not labels or selects.get("matchExpressions"):
        raise PlaceError(f"{pod.name} does not select its pods by labels alone; name a pod")
    selector = "--selector=" + ",".join(f"{key}={value}" for key, value in labels.items())
    owners = _owners(pod, owner, selector)
    # Another owner's pods may have the same labels.
    found = [each for each in pod.get("pods", selector)["items"] if _controller(each) in owners]
    if not found:
        raise PlaceError(f"{pod.name} has no pod; {_refused(pod, owners)}")
    return max(
        found,
        key=lambda each: (
            each.get("status", {}).get("phase") == "Running",
            "deletionTimestamp" not in each["metadata"],
            each["metadata"].get("creationTimestamp", ""),
        ),
    )


def _owners(pod: Pod, owner: Object, selector: str) -> frozenset[str]:
    """The IDs of an owner and of its replica sets, which own the pods of a Deployment."""
    identity = str(owner["metadata"].get("uid", ""))
    sets = [] if owner.get("kind") in DIRECT else pod.get("replicasets", selector)["items"]
    own = {str(each["metadata"].get("uid", "")) for each in sets if _controller(each) == identity}
    return frozenset({identity, *own} - {""})


def _controller(found: Object) -> str:
    """The ID of the object that controls another; empty without one."""
    references = found["metadata"].get("ownerReferences", [])
    return next((str(each["uid"]) for each in references if each.get("controller")), "")


def _refused(pod: Pod, owners: frozenset[str]) -> str:
    """Why the cluster created no pod for the owners, as far as its events show it."""
    try:
        events = pod.get("events", "--field-selector=reason=FailedCreate")["items"]
    except PlaceError:
        events = []
    own = [each for each in events if each.get("involvedObject", {}).get("uid") in owners]
    if own:
        message = shown(own[-1].get("message", "").removeprefix(COMBINED), MESSAGE)
        return f"the cluster refuses to create pods there: {message}"
    return f"list the pods: {pod.show('get', 'pods')}"


def _why_no_pod(pod: Pod) -> str:
    """Why there is no pod, as far as the cluster shows it, and the next step."""
    try:
        pod.get("namespace", pod.namespace)
    except NotFoundError as error:
        return str(error)
    except PlaceError:
        pass
    return f"list the pods: {pod.show('get', 'pods')}"


def _container(found: Object, name: str) -> str:
    """The name of the container to check; raises PlaceError for a name that the pod lacks."""
    containers = found["spec"]["containers"]
    names = [each["name"] for each in containers]
    if name and name not in names:
        pod = found["metadata"]["name"]
        raise PlaceError(f"pod {pod} has no container {name}; it has: {', '.join(names)}")
    with_gpu = [each["name"] for each in containers if gpus.has_gpu(each)]
    return name or [*with_gpu, *names][0]
