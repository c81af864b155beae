"""Whether a container's process may open a device, by the mode of its node.

gVisor release-20260622.0: createDeviceFile in runsc/boot/vfs.go.
"""

from typing import Any

from worker_images.node.launch_request import LaunchRequest

DEFAULT_MODE, READ_WRITE = 0o666, 0o6


def may_open(request: LaunchRequest, device: dict[str, Any]) -> bool:
    """Report if the container's first process may read and write a device."""
    process = request.specification.get("process") or {}
    user = process.get("user") or {}
    capabilities = (process.get("capabilities") or {}).get("effective") or ()
    if "CAP_DAC_OVERRIDE" in capabilities:
        return True
    mode = device.get("fileMode")
    mode = DEFAULT_MODE if mode is None else mode
    groups = {user.get("gid") or 0, *(user.get("additionalGids") or ())}
    if (user.get("uid") or 0) == (device.get("uid") or 0):
        allowed = mode >> 6
    else:
        allowed = mode >> 3 if (device.get("gid") or 0) in groups else mode
    return allowed & READ_WRITE == READ_WRITE
