"""Whether a container's process may open a device, by the mode of its node.

gVisor release-20260622.0: createDeviceFile in runsc/boot/vfs.go.
"""

import stat
from collections.abc import Mapping
from typing import Any

from worker_images.node.lint.request import LaunchRequest

DEFAULT_MODE, READ_WRITE = 0o666, 0o6


def mode(device: Mapping[str, Any]) -> int:
    """The permissions of a device's node."""
    found = device.get("fileMode")
    return stat.S_IMODE(DEFAULT_MODE if found is None else found)


def may_open(request: LaunchRequest, device: dict[str, Any]) -> bool:
    """Report if the container's first process may read and write a device."""
    process = request.specification.get("process") or {}
    user = process.get("user") or {}
    capabilities = (process.get("capabilities") or {}).get("effective") or ()
    if "CAP_DAC_OVERRIDE" in capabilities:
        return True
    groups = {user.get("gid") or 0, *(user.get("additionalGids") or ())}
    if (user.get("uid") or 0) == (device.get("uid") or 0):
        allowed = mode(device) >> 6
    else:
        is_in_group = (device.get("gid") or 0) in groups
        allowed = mode(device) >> 3 if is_in_group else mode(device)
    return allowed & READ_WRITE == READ_WRITE
