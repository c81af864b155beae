"""Do the hook path and rootless sandboxes work with a GPU?"""

import dataclasses
import shlex

import pytest

from tests.workload.sandboxes import Sandboxes, Seen, facts_of, run_script, run_unprivileged
from worker_images.node.command import PROBES_MOUNT
from worker_images.node.node import Node

FACTS = f"{PROBES_MOUNT}/facts.py"
# Mounts the node's driver into the worker as a RuntimeClass does, so that the toolkit finds it.
INJECTED = """
for file in {files}; do
  touch /usr/lib/x86_64-linux-gnu/${{file##*/}}
  mount --bind {host}$file /usr/lib/x86_64-linux-gnu/${{file##*/}}
done
ldconfig
"""
BY_TOOLKIT = """
nvidia-ctk cdi generate --format=json --output=/var/run/cdi/nvidia.json >&2
mkdir -p /tmp/config/nvidia-container-runtime
sed 's/^runtimes = .*/runtimes = ["runsc"]/' /etc/nvidia-container-runtime/config.toml > /tmp/config/nvidia-container-runtime/config.toml
export XDG_CONFIG_HOME=/tmp/config
cd {bundle}
nvidia-container-runtime {flags} create --bundle={bundle} by-toolkit > output 2> errors < /dev/null || cat errors >&2
{runsc} {flags} start by-toolkit
{runsc} {flags} wait by-toolkit >&2
cat output
"""


@pytest.mark.not_in_a_pod
@pytest.mark.variant("full")
def test_hook_path_runs_cuda(sandboxes: Sandboxes, python: str, gpu: Node, seen: Seen) -> None:
    """full's nvidia-ctk, nvidia-container-runtime and nvidia-cdi-hook add the driver."""
    without_driver = dataclasses.replace(gpu, libraries=(), programs=())

    def request_gpu(specification: dict[str, dict[str, list[str]]]) -> None:
        specification["process"]["env"].append("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=all")

    bundle = sandboxes.bundle(
        [python, FACTS, "driver", "loaded", "devices"], without_driver, "none", request_gpu
    )
    files = shlex.join(map(str, gpu.libraries))
    found = facts_of(run_script(sandboxes, bundle, INJECTED + BY_TOOLKIT, files=files))
    seen(f"{found['driver']}, {found['loaded']}, {found['devices']}")
    assert found["driver"]["added"] is True
    assert found["loaded"].endswith(f"libcuda.so.{gpu.driver}")
    assert "nvidia-cdi-hook" in (bundle / "config.json").read_text()


def test_rootless_sandbox_runs_cuda_as_unprivileged_user(
    sandboxes: Sandboxes, python: str, seen: Seen
) -> None:
    """runsc --rootless runs CUDA as user 1000 without capabilities; mount points must exist."""
    found = facts_of(run_unprivileged(sandboxes, python, FACTS, "driver", "kernel"))
    seen(str(found["driver"]))
    assert found["driver"]["added"] is True
    assert "gvisor" in found["kernel"]["version"]
