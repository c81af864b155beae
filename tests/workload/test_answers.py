"""What else users ask, answered on a GPU: the toolkit's hook path, a user without rights,
checkpoints.
"""

import dataclasses
import shlex
import shutil

import pytest

from tests.workload.user import Sandboxes, Seen, facts_of, scripted, unprivileged
from worker_images.node.command import INSIDE
from worker_images.node.node import Node

FACTS = f"{INSIDE}/facts.py"
# The node's driver as a runtime class would have put it into the worker, which the toolkit then
# finds there.
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
echo "left off at $(tail -n 1 {bundle}/output)"
{runsc} {flags} restore --detach --bundle={bundle} --image-path={bundle}/checkpoint after > {bundle}/restored 2>&1 < /dev/null
until [ "$(wc -l < {bundle}/restored)" -ge 20 ]; do sleep 0.05; done
echo "went on at $(head -n 1 {bundle}/restored)"
{runsc} {flags} kill after KILL
"""
UNSAVED = "Can't save pma with non-MemoryFile of type *nvproxy.frontendFDMemmapFile"


@pytest.mark.variant("full")
def test_the_toolkits_hook_path(sandboxes: Sandboxes, python: str, gpu: Node, seen: Seen) -> None:
    """full's own nvidia-ctk, nvidia-container-runtime and nvidia-cdi-hook bring the driver in.

    CUDA runs.
    """
    bare = dataclasses.replace(gpu, libraries=(), programs=())

    def asking(specification: dict[str, dict[str, list[str]]]) -> None:
        specification["process"]["env"].append("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=all")

    bundle = sandboxes.bundle([python, FACTS, "driver", "loaded", "devices"], bare, "none", asking)
    files = shlex.join(map(str, gpu.libraries))
    found = facts_of(scripted(sandboxes, bundle, INJECTED + BY_TOOLKIT, files=files))
    seen(f"{found['driver']}, {found['loaded']}, {found['devices']}")
    assert found["driver"]["added"] is True
    assert found["loaded"].endswith(f"libcuda.so.{gpu.driver}")
    assert "nvidia-cdi-hook" in (bundle / "config.json").read_text()


def test_a_user_without_rights(sandboxes: Sandboxes, python: str, seen: Seen) -> None:
    """Rootless, as user 1000 with no capability: the device nodes are everyone's.

    Only mount points must be there before.
    """
    found = facts_of(unprivileged(sandboxes, python, FACTS, "driver", "kernel"))
    seen(str(found["driver"]))
    assert found["driver"]["added"] is True
    assert "gvisor" in found["kernel"]["version"]


def test_a_checkpoint_of_cuda_needs_a_program(
    sandboxes: Sandboxes, python: str, seen: Seen
) -> None:
    """runsc alone cannot save memory that is the GPU's."""
    bundle = sandboxes.bundle([python, f"{INSIDE}/counting.py"])
    found = scripted(sandboxes, bundle, CHECKPOINT, more="")
    log = "".join(path.read_text(errors="replace") for path in bundle.glob("log/*"))
    assert UNSAVED in log + found.errors
    seen(UNSAVED)


def test_a_checkpoint_with_the_drivers_own_calls(
    sandboxes: Sandboxes, python: str, seen: Seen
) -> None:
    """The driver takes the memory off the GPU first, by what its library exports: the number goes
    on where it was.
    """
    bundle = sandboxes.bundle([python, f"{INSIDE}/counting.py"])
    found = scripted(
        sandboxes, bundle, CHECKPOINT, more=f"--cuda-checkpoint-path={INSIDE}/cuda_checkpoint.py"
    )
    shutil.rmtree(bundle / "checkpoint")
    assert found.status == 0, found.errors
    seen(found.output)
    before, after = (int(line.split()[-1]) for line in found.output.splitlines()[-2:])
    assert after == before + 1
