"""The configuration of the node's programs, as files."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from worker_images.cluster.links import Link
from worker_images.model.drivers.fleet import LABEL

CONTEXT = "worker-images"
NODE = "node1"
PAUSE = "registry.example.com/pause:1"
PODS = "10.244.0.0/24"
# Users of the cluster, with the groups that Kubernetes knows.
USERS = {
    "admin": ("admin", "system:masters"),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
}
CONTAINERD = """\
version = 2
root = "/var/lib/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  enable_cdi = true
  cdi_spec_dirs = ["/etc/cluster/cdi"]
  # Not every machine lets the node's programs lower their score.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cluster/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "/usr/local/bin/runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
        BinaryName = "/usr/local/bin/nvidia-container-runtime"
"""
TOOLKIT = """\
[nvidia-container-runtime]
  mode = "cdi"
  runtimes = ["/usr/local/bin/runc"]
  [nvidia-container-runtime.modes.cdi]
    spec-dirs = ["/etc/cluster/cdi"]
    default-kind = "nvidia.com/gpu"
"""
# The version of the CDI specification that containerd 1.7 reads.
CDI_VERSION = "0.5.0"


@dataclass(frozen=True)
class Options:
    """What a node has: its driver, GPUs, and how the device plugin hands them out.

    Stand-ins are devices and libraries without a driver. `replicas` pods share one GPU; `cdi` names
    CDI devices instead of NVIDIA_VISIBLE_DEVICES.
    """

    driver: str
    gpus: int = 1
    stand_in: bool = True
    replicas: int = 1
    cdi: bool = False
    snapshotter: str = "overlayfs"

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that NVIDIA's feature discovery gives such a node."""
        return {LABEL: self.driver, "nvidia.com/gpu.present": "true"}

    @property
    def plugin(self) -> str:
        """The options of the device plugin."""
        cdi = " --cdi" if self.cdi else ""
        return f"--gpus={self.gpus} --replicas={self.replicas}{cdi}"


def files(link: Link, options: Options) -> dict[str, str]:
    """Return the text of each file in /etc/cluster, with new tokens."""
    tokens = {name: secrets.token_hex(16) for name in USERS}
    rows = (f'{tokens[name]},{user},{user},"{group}"' for name, (user, group) in USERS.items())
    server = f"https://{link.node}:6443"
    found = {
        f"{name}.json": _json(_access(server, tokens[name])) for name in USERS if name != "kubelet"
    }
    return found | {
        "kubelet.json.config": _json(_access(server, tokens["kubelet"])),
        "kubelet.json": _json(_kubelet(link)),
        "tokens.csv": "\n".join(rows) + "\n",
        "containerd.toml": CONTAINERD.format(pause=PAUSE, snapshotter=options.snapshotter),
        "nvidia-container-runtime/config.toml": TOOLKIT,
        "cni/pods.conflist": _json(_network()),
        "dnsmasq.conf": _names(link),
        "settings": _variables(link, options),
    }


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=1) + "\n"


def _access(server: str, token: str) -> dict[str, object]:
    cluster = {"server": server, "certificate-authority": "ca.pem"}
    context = {"cluster": CONTEXT, "user": CONTEXT}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": context}],
        "current-context": CONTEXT,
    }


def _kubelet(link: Link) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": link.node,
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": "/etc/cluster/ca.pem"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "clusterDNS": [link.node],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "healthzPort": 0,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "makeIPTablesUtilChains": False,
        "nodeStatusUpdateFrequency": "2s",
        "readOnlyPort": 0,
        "resolvConf": "",
    }


def _network() -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/var/lib/cni",
            "ranges": [[{"subnet": PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def _names(link: Link) -> str:
    return (
        f"user=root\nno-resolv\nno-hosts\npid-file=/run/dnsmasq.pid\nbind-dynamic\n"
        f"listen-address={link.node}\naddress=/{NODE}.cluster.local/{link.node}\n"
        "local=/cluster.local/\n"
    )


def _variables(link: Link, options: Options) -> str:
    labels = ",".join(f"{name}={value}" for name, value in options.labels.items())
    return (
        f"ADDRESS={link.node}\nGATEWAY={link.machine}\nLABELS={labels}\nPLUGIN='{options.plugin}'\n"
    )
