"""Do the hook path, rootless sandboxes and checkpoints work with a GPU?"""

import dataclasses
import shlex
import shutil

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
CHECKPOINT = """
{runsc} {flags} run --detach --bundle={bundle} before > {bundle}/output 2>&1 < /dev/null
until grep -qx 20 {bundle}/output; do sleep 0.05; done
{runsc} {flags} checkpoint {more} --image-path={bundle}/checkpoint before
echo "stopped at $(tail -n 1 {bundle}/output)"
{runsc} {flags} restore --detach --bundle={bundle} --image-path={bundle}/checkpoint after > {bundle}/restored 2>&1 < /dev/null
until [ "$(wc -l < {bundle}/restored)" -ge 20 ]; do sleep 0.05; done
echo "continued at $(head -n 1 {bundle}/restored)"
{runsc} {flags} kill after KILL
"""
UNSAVED = "Can't save pma with non-MemoryFile of type *nvproxy.frontendFDMemmapFile"


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


@pytest.mark.not_in_a_pod
def test_checkpoint_of_cuda_fails_without_a_helper_program(
    sandboxes: Sandboxes, python: str, seen: Seen
) -> None:
    """runsc cannot save the GPU's memory."""
    bundle = sandboxes.bundle([python, f"{PROBES_MOUNT}/counting.py"])
    found = run_script(sandboxes, bundle, CHECKPOINT, more="")
    log = "".join(path.read_text(errors="replace") for path in bundle.glob("log/*"))
    assert UNSAVED in log + found.errors
    seen(UNSAVED)


@pytest.mark.not_in_a_pod
def test_checkpoint_and_restore_keep_gpu_memory_with_driver_calls(
    sandboxes: Sandboxes, python: str, seen: Seen
) -> None:
    """libcuda copies the GPU's memory to the host first; the counter continues after restore."""
    bundle = sandboxes.bundle([python, f"{PROBES_MOUNT}/counting.py"])
    found = run_script(
        sandboxes,
        bundle,
        CHECKPOINT,
        more=f"--cuda-checkpoint-path={PROBES_MOUNT}/cuda_checkpoint.py",
    )
    shutil.rmtree(bundle / "checkpoint")
    assert found.status == 0, found.errors
    seen(found.output)
    before, after = (int(line.split()[-1]) for line in found.output.splitlines()[-2:])
    assert after == before + 1
