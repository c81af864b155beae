"""The types of config.json's members: those of Go's specs-go, into which runsc reads it.

Linux limits the length of paths and variables.
"""

from collections.abc import Callable

MAX_PATH_BYTES, MAX_NAME_BYTES = 4096, 255
# MAX_ARG_STRLEN: execve refuses a longer variable.
MAX_VARIABLE_BYTES = 128 << 10

# Returns what is wrong with a value; empty if nothing is.
Leaf = Callable[[object], str]
Shape = Leaf | list["Shape"] | dict[str, "Shape"]


def _text(value: object) -> str:
    if not isinstance(value, str):
        return "not a string"
    return "a string with a NUL byte" if "\0" in value else ""


def _variable(value: object) -> str:
    return _text(value) or _longer(str(value), MAX_VARIABLE_BYTES)


def _path(value: object) -> str:
    text = str(value)
    name = max(text.split("/"), key=len)
    return _text(value) or _longer(text, MAX_PATH_BYTES) or _longer(name, MAX_NAME_BYTES)


def required_path(value: object) -> str:
    """Check a path that an object must have."""
    return _path(value)


def _longer(text: str, most: int) -> str:
    return f"longer than {most} bytes" if len(text.encode()) > most else ""


def _flag(value: object) -> str:
    return "" if isinstance(value, bool) else "not true or false"


def _integer(low: int, high: int) -> Leaf:
    """Return the check of an integer: Go refuses a fraction, and numbers outside of the type."""

    def check(value: object) -> str:
        if type(value) is not int:
            return "not an integer"
        return "" if low <= value <= high else f"not a number from {low} to {high}"

    return check


_int32, _int64 = _integer(-(1 << 31), (1 << 31) - 1), _integer(-(1 << 63), (1 << 63) - 1)
_uint16, _uint32, _uint64 = (_integer(0, (1 << bits) - 1) for bits in (16, 32, 64))

CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_MAPPINGS: Shape = [{"containerID": _uint32, "hostID": _uint32, "size": _uint32}]
_RATES: Shape = [{"major": _int64, "minor": _int64, "rate": _uint64}]
_WEIGHTS: dict[str, Shape] = {"weight": _uint16, "leafWeight": _uint16}

_PROCESS: Shape = {
    "terminal": _flag,
    "consoleSize": {"height": _uint64, "width": _uint64},
    "user": {"uid": _uint32, "gid": _uint32, "umask": _uint32, "additionalGids": [_uint32]},
    "args": [_text],
    "env": [_variable],
    "cwd": _path,
    "capabilities": {name: [_text] for name in CAPABILITY_SETS},
    "rlimits": [{"type": _text, "hard": _uint64, "soft": _uint64}],
    "noNewPrivileges": _flag,
    "apparmorProfile": _text,
    "oomScoreAdj": _int64,
    "scheduler": {
        "policy": _text,
        "nice": _int32,
        "priority": _int32,
        "flags": [_text],
        "runtime": _uint64,
        "deadline": _uint64,
        "period": _uint64,
    },
    "selinuxLabel": _text,
    "ioPriority": {"class": _text, "priority": _int64},
    "execCPUAffinity": {"initial": _text, "final": _text},
}
_MEMORY: Shape = {
    **dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP"), _int64),
    "swappiness": _uint64,
    **dict.fromkeys(("disableOOMKiller", "useHierarchy", "checkBeforeUpdate"), _flag),
}
_CPU: Shape = {
    **dict.fromkeys(("shares", "burst", "period", "realtimePeriod"), _uint64),
    **dict.fromkeys(("quota", "realtimeRuntime", "idle"), _int64),
    **dict.fromkeys(("cpus", "mems"), _text),
}
_RESOURCES: Shape = {
    "devices": [{"allow": _flag, "type": _text, "major": _int64, "minor": _int64, "access": _text}],
    "memory": _MEMORY,
    "cpu": _CPU,
    "pids": {"limit": _int64},
    "blockIO": {
        **_WEIGHTS,
        "weightDevice": [{"major": _int64, "minor": _int64, **_WEIGHTS}],
        **{f"throttle{each}Device": _RATES for each in ("ReadBps", "WriteBps")},
        **{f"throttle{each}Device": _RATES for each in ("ReadIOPS", "WriteIOPS")},
    },
    "hugepageLimits": [{"pageSize": _text, "limit": _uint64}],
    "network": {"classID": _uint32, "priorities": [{"name": _text, "priority": _uint32}]},
    "rdma": {"": {"hcaHandles": _uint32, "hcaObjects": _uint32}},
    "unified": {"": _text},
}
_SECCOMP: Shape = {
    "defaultAction": _text,
    "defaultErrnoRet": _uint64,
    "architectures": [_text],
    "flags": [_text],
    "listenerPath": _text,
    "listenerMetadata": _text,
    "syscalls": [
        {
            "names": [_text],
            "action": _text,
            "errnoRet": _uint64,
            "args": [{"index": _uint64, "value": _uint64, "valueTwo": _uint64, "op": _text}],
        }
    ],
}
_DEVICE: Shape = {
    "path": required_path,
    "type": _text,
    "major": _int64,
    "minor": _int64,
    "fileMode": _uint32,
    "uid": _uint32,
    "gid": _uint32,
}
_LINUX: Shape = {
    "uidMappings": _MAPPINGS,
    "gidMappings": _MAPPINGS,
    "sysctl": {"": _text},
    "resources": _RESOURCES,
    "cgroupsPath": _text,
    "namespaces": [{"type": _text, "path": _path}],
    "devices": [_DEVICE],
    "seccomp": _SECCOMP,
    "rootfsPropagation": _text,
    "maskedPaths": [_text],
    "readonlyPaths": [_text],
    "mountLabel": _text,
    "intelRdt": {
        **dict.fromkeys(("closID", "l3CacheSchema", "memBwSchema"), _text),
        **dict.fromkeys(("enableCMT", "enableMBM"), _flag),
    },
    "personality": {"domain": _text, "flags": [_text]},
    "timeOffsets": {"": {"secs": _int64, "nanosecs": _uint32}},
}
# An object with the key "" has members of any name.
SPECIFICATION: Shape = {
    "ociVersion": _text,
    "process": _PROCESS,
    "root": {"path": _path, "readonly": _flag},
    "hostname": _text,
    "domainname": _text,
    "mounts": [
        {
            "destination": required_path,
            "type": _text,
            "source": _path,
            "options": [_text],
            "uidMappings": _MAPPINGS,
            "gidMappings": _MAPPINGS,
        }
    ],
    "hooks": {
        "": [{"path": required_path, "args": [_text], "env": [_text], "timeout": _int64}],
    },
    "annotations": {"": _text},
    "linux": _LINUX,
}
