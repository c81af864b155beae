"""The types and limits of those parts of config.json that the rules read.

runsc reads the file into Go's types, and Linux limits the length of paths and variables.
"""

from collections.abc import Callable

from worker_images.untrusted import UntrustedError, check_spelling, shown

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


def _longer(text: str, most: int) -> str:
    return f"longer than {most} bytes" if len(text.encode()) > most else ""


def _number(value: object) -> str:
    return "" if type(value) is int else "not an integer"


def _optional_number(value: object) -> str:
    return "" if value is None else _number(value)


def _flag(value: object) -> str:
    return "" if isinstance(value, bool) else "not true or false"


CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
# An object with the key "" has members of any name.
SPECIFICATION: Shape = {
    "process": {
        "args": [_text],
        "env": [_variable],
        "cwd": _path,
        "selinuxLabel": _text,
        "user": {"uid": _number, "gid": _number, "additionalGids": [_number]},
        "capabilities": {name: [_text] for name in CAPABILITY_SETS},
    },
    "root": {"path": _path, "readonly": _flag},
    "mounts": [{"destination": _path, "type": _text, "source": _path, "options": [_text]}],
    "linux": {
        "rootfsPropagation": _text,
        "devices": [
            {
                "path": _path,
                "type": _text,
                "major": _number,
                "minor": _number,
                "fileMode": _optional_number,
                "uid": _optional_number,
                "gid": _optional_number,
            }
        ],
    },
    "hooks": {"": [{"path": _path, "args": [_text]}]},
    "annotations": {"": _text},
}
REQUIRED = frozenset({"destination", "path"})


def check(specification: object) -> None:
    """Check a specification; raises UntrustedError, which names the place."""
    if not isinstance(specification, dict):
        raise UntrustedError("not an object")
    _check(specification, SPECIFICATION, "")


def _check(value: object, shape: Shape, where: str) -> None:
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise UntrustedError(f"{where}: not a list")
        for index, item in enumerate(value):
            _check(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            raise UntrustedError(f"{where}: not an object")
        _check_members(value, shape, where)
    elif problem := shape(value):
        raise UntrustedError(f"{where}: {problem}")


def _check_members(value: dict[str, object], shape: dict[str, Shape], where: str) -> None:
    check_spelling(value, frozenset(shape))
    for name, member in shape.items():
        # Only a list of objects requires keys: root may be missing.
        if name in REQUIRED and name not in value and where.endswith("]"):
            raise UntrustedError(f"{where}: no {name}")
        for key in value if not name else {name} & value.keys():
            # Go reads null as an empty list or object.
            if value[key] is not None or callable(member):
                _check(value[key], member, f"{where}.{shown(key)}".removeprefix("."))
