"""The checklist's rows for a user's GPU program in a sandbox of the image's own runsc."""

from worker_images.node.command import INSIDE
from worker_images.node.spec import LIBRARIES
from worker_images.node.verify.program import (
    SUM,
    active,
    added,
    answered,
    libcuda,
    named,
    same_output,
    torch,
)
from worker_images.node.verify.rows import ABSENT, WEAK, WRONG, Row
from worker_images.node.verify.trial import LOGS, PROCESSES

USER, ACTIVE = "Verification Checklist: User Container", "Verify nvproxy Active"
PROBE = "runsc run, with: python3 tests/workload/probes/facts.py"

ROWS = (
    Row(
        layer="workload",
        section=USER,
        note='python3 -c "import torch; print(torch.cuda.is_available())"',
        worth=WEAK,
        reason="no kernel runs, and it says True under plain runc too",
        check="torch multiplies matrices, in gVisor",
        expected=f"every GPU, the sum {SUM}, gVisor's kernel",
        judge=torch,
        command=f"{PROBE} torch kernel",
        own='python3 -c "import torch; print(torch.cuda.is_available())"',
    ),
    Row(
        layer="workload",
        section=USER,
        note=(
            "ldconfig -p | grep libcuda\n# Should show: libcuda.so.1 =>"
            " /usr/local/cuda/lib64/libcuda.so.1"
        ),
        worth=WRONG,
        reason=(
            "no toolkit has libcuda there; stubs and compat, which do, are a failure, and grep"
            " finds libcudart too"
        ),
        check="programs get the node driver's libcuda",
        expected=f"{LIBRARIES}/libcuda.so.<driver>, by the cache and by loading it",
        judge=libcuda,
        command=f"{PROBE} loader loaded",
        own="ldconfig -p | grep libcuda",
    ),
    Row(
        layer="workload",
        section="Run GPU Workload",
        note="# test_gpu.py - User provides this in their container",
        worth=WEAK,
        reason=(
            "it computes nothing whose result is looked at, and nothing says that it runs in gVisor"
        ),
        check="test_gpu.py says what it says on the node",
        expected="CUDA: True, and the same text on both sides",
        judge=same_output,
        command=f"{PROBE} note",
        own=f"python3 {INSIDE}/test_gpu.py",
    ),
    Row(
        layer="workload",
        section="How nvproxy Works",
        note="nvproxy intercepts GPU ioctls",
        worth=WEAK,
        reason="a sentence; a program that looks at its result shows it",
        check="a kernel adds two vectors, on the node and in the sandbox",
        expected="right sums by the same GPU",
        judge=added,
        command=f"{PROBE} driver",
    ),
    Row(
        layer="workload",
        section=ACTIVE,
        note="kubectl logs <worker-pod> | grep nvproxy",
        worth=WEAK,
        reason=(
            "runsc logs nothing unless --debug-log is set, so it finds nothing where all is well"
        ),
        check="the sandbox's debug log names the driver",
        expected="--nvidia-driver-version=<driver>",
        judge=named,
        command="grep -o -- '--nvidia-driver-version=[0-9.]*' LOG",
        own=LOGS,
    ),
    Row(
        layer="workload",
        section=ACTIVE,
        note="kubectl exec -it <worker-pod> -- ps aux | grep -- --nvproxy=true",
        worth=WEAK,
        reason=(
            "since 20260525.0 nvproxy is on without the flag; and typed in the worker itself, grep"
            " finds its own line"
        ),
        check="nvproxy's devices are in the sandbox, no others",
        expected="nvidiactl, nvidia-uvm and each nvidiaN, in gVisor's kernel",
        judge=active,
        command=f"{PROBE} devices kernel",
        own=PROCESSES,
    ),
    Row(
        layer="workload",
        section=ACTIVE,
        note="",
        worth=ABSENT,
        reason="the note does not ask; a call that nvproxy does not know shows in the log alone",
        check="no call of the driver went unanswered",
        expected="no line 'nvproxy: handler is undefined'",
        judge=answered,
        command="grep -E 'nvproxy: (handler is undefined|unknown)' LOG",
    ),
)
