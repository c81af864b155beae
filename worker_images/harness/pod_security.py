"""Rules for the privileges of pods, and for the Pod Security level of their namespace."""

from collections.abc import Iterator, Mapping
from typing import Any

from worker_images.errors import Finding
from worker_images.harness.manifests import LEVEL, Container, Pod, at
from worker_images.model.capabilities import BASELINE
from worker_images.model.document import Location, quoted

UNCONFINED = "Unconfined"
PROFILES = ("seccompProfile", "appArmorProfile")
HOST = ("hostNetwork", "hostPID", "hostIPC")
# The kernel settings and SELinux types that baseline admits.
SYSCTLS = {
    "kernel.shm_rmid_forced",
    *(
        f"net.ipv4.{name}"
        for name in (
            *("ip_local_port_range", "ip_local_reserved_ports", "ip_unprivileged_port_start"),
            *("ping_group_range", "tcp_fin_timeout", "tcp_keepalive_intvl"),
            *("tcp_keepalive_probes", "tcp_keepalive_time", "tcp_syncookies"),
        )
    ),
}
SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SETTINGS: tuple[tuple[tuple[str, ...], object, str], ...] = (
    (("allowPrivilegeEscalation",), False, "false"),
    (("readOnlyRootFilesystem",), True, "true"),
    (("capabilities", "drop"), ["ALL"], "[ALL]"),
)
ROOTLESS = "run the worker as user 1000, or use deploy/components/sys-admin"


def privileges(pod: Pod) -> Iterator[Finding]:
    """Every container gives up what it does not need, and only SYS_ADMIN needs root."""
    for each in pod.containers:
        for keys, wanted, text in SETTINGS:
            found = at(each.value, "securityContext", *keys)
            if found != wanted:
                what = "not set" if found is None else quoted(found)
                yield _fault(pod, each, keys, what, f"set {text}")
        if at(each.value, "securityContext", "privileged"):
            fix = "delete it, or use deploy/components/sys-admin"
            yield _fault(pod, each, ("privileged",), "a privileged container", fix)
        root = not each.security(pod, "runAsNonRoot") or each.security(pod, "runAsUser") == 0
        if root and "SYS_ADMIN" not in each.added:
            yield _fault(pod, each, ("runAsNonRoot",), "it may run as root", ROOTLESS)


def _fault(pod: Pod, container: Container, keys: tuple[str, ...], what: str, fix: str) -> Finding:
    why = "a container keeps only the privileges that were measured to be needed"
    return pod.manifest.finding((*container.place, "securityContext", *keys), what, why, fix)


def profiles(pod: Pod) -> Iterator[Finding]:
    """A container that starts sandboxes has no seccomp or AppArmor profile."""
    level = _level(pod)
    for each in pod.workers:
        for profile in PROFILES:
            found = (each.security(pod, profile) or {}).get("type")
            place = (*each.place, "securityContext", profile)
            if not found and level == "privileged":
                why = "the node's default decides, and under RuntimeDefault no sandbox starts"
                yield pod.manifest.finding(place, "missing", why, f"set type: {UNCONFINED}")
            elif found == "RuntimeDefault":
                why = "it forbids the namespaces and mounts of a sandbox"
                yield pod.manifest.finding(place, found, why, f"set type: {UNCONFINED}")


def _level(pod: Pod) -> str:
    """The Pod Security level of the pod's namespace; empty if it is not among the manifests."""
    if not pod.namespace:
        return ""
    return str(at(pod.namespace.value, "metadata", "labels", LEVEL) or "")


def namespace(pod: Pod) -> Iterator[Finding]:
    """The namespace has the Pod Security level that its pods need, and not a higher one."""
    namespace, level, needed = pod.namespace, _level(pod), [*_beyond_baseline(pod)]
    if not namespace:
        return
    place = ("metadata", "labels", LEVEL)
    if level != "privileged" and needed:
        what = f"the level is {level or 'not set'}"
        why = f"baseline refuses {pod.manifest.kind} {pod.manifest.name}: {', '.join(needed)}"
        yield namespace.finding(
            place, what, why, "set privileged, or use deploy/components/baseline"
        )
    if level not in {"baseline", "restricted"} and not needed:
        what = f"the level is {level or 'not set'}"
        yield namespace.finding(place, what, "its pods meet baseline", "set baseline")


def _beyond_baseline(pod: Pod) -> Iterator[str]:
    """What the Pod Security level baseline refuses in a pod."""
    yield from (str(place[-1]) for place, _ in _of_the_node(pod))
    for each in pod.containers:
        yield from (
            f"{profile} {UNCONFINED}"
            for profile in PROFILES
            if (each.security(pod, profile) or {}).get("type") == UNCONFINED
        )
        yield from sorted(each.added - BASELINE)
        if at(each.value, "securityContext", "privileged"):
            yield "privileged"


def host(pod: Pod) -> Iterator[Finding]:
    """The pod has nothing of its node and no API token of its cluster."""
    why = "users' containers run in this pod"
    for place, what in _of_the_node(pod):
        yield pod.manifest.finding(place, what, why, "delete it")
    if pod.spec.get("automountServiceAccountToken") is not False:
        place = ("automountServiceAccountToken",)
        yield pod.finding(place, "a token of the API server is mounted", why, "set false")


def _of_the_node(pod: Pod) -> Iterator[tuple[Location, str]]:
    """The places of what a pod shares with its node or changes there, and what it is."""
    for name in (name for name in HOST if pod.spec.get(name)):
        yield (*pod.place, name), "shared with the node"
    for number, each in enumerate(pod.spec.get("volumes") or []):
        if at(each, "hostPath"):
            yield (*pod.place, "volumes", number, "hostPath"), "the node's folder"
    security = (*pod.place, "securityContext")
    for each in at(pod.spec, "securityContext", "sysctls") or []:
        if each.get("name") not in SYSCTLS:
            yield (*security, "sysctls"), f"{each.get('name')} is not a safe setting"
    if _has_label(pod.spec):
        yield (*security, "seLinuxOptions"), "another SELinux label than a container's"
    for container in pod.containers:
        yield from _of_a_container(container)


def _of_a_container(container: Container) -> Iterator[tuple[Location, str]]:
    for number, port in enumerate(container.value.get("ports") or []):
        if port.get("hostPort"):
            yield (*container.place, "ports", number, "hostPort"), "a port of the node"
    security = (*container.place, "securityContext")
    if at(container.value, "securityContext", "procMount") not in {None, "Default"}:
        yield (*security, "procMount"), "the kernel's files in /proc are not masked"
    if _has_label(container.value):
        yield (*security, "seLinuxOptions"), "another SELinux label than a container's"


def _has_label(value: Mapping[str, Any]) -> bool:
    """Whether a pod or a container has an SELinux label that baseline refuses."""
    label = at(value, "securityContext", "seLinuxOptions") or {}
    own = any(label.get(key) for key in ("user", "role"))
    return own or (label.get("type") or "") not in SELINUX
