"""The pod of a server beside a worker's pod."""

from worker_images.node.pod.objects import Object, container_of

USER = 1000


def server_pod(name: str, worker: Object, container: str) -> Object:
    """The pod of a server with the image of a worker's container, for nodes that run it."""
    image = container_of(worker, container)["image"]
    spec = worker["spec"]
    access = {key: spec[key] for key in ("imagePullSecrets", "tolerations") if key in spec}
    rights = {
        "runAsUser": USER,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    server = {
        "name": "server",
        "image": image,
        "args": ["sleep", "infinity"],
        "securityContext": rights,
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [server],
            **access,
        },
    }
