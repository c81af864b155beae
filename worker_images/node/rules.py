"""The rules F3 to F12 of docs/launcher.md: each reads a request and yields its problems."""

from collections.abc import Iterator, Sequence
from typing import Any

from worker_images.node import binary, loader
from worker_images.node.launch_request import LaunchRequest
from worker_images.node.node import CONTROL, GPU, MEMORY

VISIBLE, CAPABILITIES = "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"
ALLOWED = "nvproxy-allowed-driver-capabilities"
# pkg/sentry/devices/nvproxy/nvconf/caps.go: what is allowed by default, and by "all".
DEFAULT_CAPABILITIES = {"compute", "utility"}
ALL_CAPABILITIES = {*DEFAULT_CAPABILITIES, "graphics", "video"}
UNSUPPORTED_CAPABILITIES = {"ngx", "display", "compat32"}
MIG = "/dev/nvidia-caps/"
HOOKS = {
    "nvidia-container-runtime-hook": (
        "runsc runs nvidia-container-cli for it, which slim does not contain"
    ),
    "nvidia-cdi-hook": (
        "gVisor accepts it from 20260406.0 on and runs it in the sandbox's root from 20260520.0 on;"
        " only full contains it"
    ),
    "nvidia-ctk": "a program of NVIDIA's toolkit, which only full contains",
}
SERVICES = ("nvidia-persistenced", "nvidia-fabricmanager")

# The place in the specification, the problem, and the next step.
Problems = Iterator[tuple[str, str, str]]


def forced_abi(request: LaunchRequest) -> Problems:
    """No flag forces the ABI of another driver, and none is reserved for gVisor's own tests."""
    for name, value in request.options.items():
        if name == "nvproxy-driver-version" and value:
            yield (
                "flags",
                f"--{name}={value} forces an ABI that may differ from the driver's",
                "remove it; a driver that runsc refuses needs another gVisor release",
            )
        if name.startswith("TESTONLY-"):
            yield "flags", f"--{name} is unsafe and only for gVisor's own tests", "remove it"


def libcuda(request: LaunchRequest) -> Problems:
    """A container with devices has the libcuda of the node's driver, and programs load that one."""
    found, driver = loader.files(request), request.node.driver
    versions, first = loader.versions(found), loader.loaded(request, found)
    step = "mount the driver's files of this node: python3 -m worker_images.node bundle"
    if request.devices and not driver:
        yield (
            "linux.devices",
            "NVIDIA devices, but no driver is loaded on the node",
            "load the driver's modules, or remove the devices",
        )
    elif request.devices and driver not in versions.values():
        others = ", ".join(sorted(versions))
        yield (
            "mounts",
            f"devices, but no mount of libcuda.so.{driver}{f', only {others}' if others else ''}",
            step,
        )
    elif request.devices and first and versions[first] != driver:
        yield (
            "process.env",
            f"libcuda.so.1 is {first}, but the driver is {driver}",
            "put the folder of the driver's own libcuda first",
        )


def library_path(request: LaunchRequest) -> Problems:
    """LD_LIBRARY_PATH names the folder of the mounted libcuda, which has a link libcuda.so.1."""
    found, folders = loader.files(request), {*loader.folders(request)}
    mounted = [
        path
        for path, version in loader.versions(found).items()
        if version and version == request.node.driver
    ]
    for folder in (
        {path.rpartition("/")[0] for path in mounted} if not loader.loaded(request, found) else ()
    ):
        if folder not in folders:
            yield (
                "process.env",
                f"{folder} is not in LD_LIBRARY_PATH",
                f"put {folder} first in LD_LIBRARY_PATH",
            )
        if not loader.resolve(f"{folder}/libcuda.so.1", found):
            yield (
                "mounts",
                f"no link {folder}/libcuda.so.1",
                (
                    "mount a folder with the SONAME links, such as python3 -m worker_images.node"
                    " bundle writes"
                ),
            )


def capabilities(request: LaunchRequest) -> Problems:
    """NVIDIA_DRIVER_CAPABILITIES requests only capabilities that nvproxy allows."""
    requested, allowed = (
        _names(request.environment.get(CAPABILITIES, "")),
        _names(request.options.get(ALLOWED, "")) or DEFAULT_CAPABILITIES,
    )
    usable = (allowed | (ALL_CAPABILITIES if "all" in allowed else set())) - (
        UNSUPPORTED_CAPABILITIES
    )
    if refused := set() if "all" in requested else requested - usable:
        yield (
            "process.env",
            f"{CAPABILITIES} requests {', '.join(sorted(refused))}, which nvproxy does not allow",
            "set it to compute,utility",
        )


def _names(value: str) -> set[str]:
    return {name.strip() for name in value.split(",") if name.strip()}


def device_numbers(request: LaunchRequest) -> Problems:
    """Devices are complete, have the node's type and numbers, and are served by nvproxy."""
    names = {device["path"].removeprefix("/dev/") for _, device in request.devices}
    for missing in sorted({CONTROL, MEMORY} - names) if request.gpus else ():
        yield (
            "linux.devices",
            f"a GPU without /dev/{missing}",
            f"add /dev/{missing} with the node's numbers",
        )
    for index, device in request.devices:
        where, name = f"linux.devices[{index}]", device["path"].removeprefix("/dev/")
        if name not in (CONTROL, MEMORY) and not GPU.match(name):
            if not device["path"].startswith(MIG):
                yield where, f"nvproxy does not serve {device['path']}", "remove it"
        elif mismatch := _mismatch(request, device):
            yield where, mismatch, "use the type and numbers that stat prints on the node"


def _mismatch(request: LaunchRequest, device: dict[str, Any]) -> str:
    path = device["path"]
    expected = next(
        (f"c {each.major}:{each.minor}" for each in request.node.devices if each.path == path), ""
    )
    actual = f"{device.get('type')} {device.get('major', 0)}:{device.get('minor', 0)}"
    on_node = f"is {expected} on the node" if expected else "does not exist on the node"
    return "" if actual == expected else f"{path} is {actual}, but {on_node}"


def hooks(request: LaunchRequest) -> Problems:
    """There is no NVIDIA hook: slim does not contain the programs of one."""
    for stage, each in (request.specification.get("hooks") or {}).items():
        first: dict[str, int] = {}
        for index, hook in enumerate(each or ()):
            first.setdefault(hook["path"], index)
        for path, index in first.items():
            if why := HOOKS.get(path.rpartition("/")[2]):
                yield (
                    f"hooks.{stage}[{index}]",
                    f"{path}: {why}",
                    "remove the hook, and write devices and driver files into the specification",
                )
    if request.is_enabled("nvproxy-docker"):
        yield (
            "flags",
            (
                "--nvproxy-docker: runsc runs nvidia-container-cli for it, which slim does not"
                " contain"
            ),
            "remove it",
        )


def visible_devices(request: LaunchRequest) -> Problems:
    """NVIDIA_VISIBLE_DEVICES names full GPUs; nvproxy does not support MIG."""
    value = request.environment.get(VISIBLE, "all")
    if parts := sorted(
        part
        for part in _names(value) - {"all", "none", "void"}
        if not part.isdigit() and not part.startswith("GPU-")
    ):
        yield (
            "process.env",
            f"{VISIBLE} names {', '.join(parts)}; nvproxy supports only full GPUs",
            "assign full GPUs, by number or GPU-...",
        )
    elif request.gpus and value in ("", "void"):
        yield (
            "process.env",
            f"{VISIBLE}={value!r}, but linux.devices has GPU {', '.join(request.gpus)}",
            "name the GPUs by number",
        )
    for index, device in request.devices:
        if device["path"].startswith(MIG):
            yield (
                f"linux.devices[{index}]",
                f"{device['path']} is for MIG, which nvproxy does not support",
                "remove it; assign full GPUs",
            )


def gpu_count(request: LaunchRequest) -> Problems:
    """NVIDIA_VISIBLE_DEVICES names the same GPUs as linux.devices."""
    named = _names(request.environment.get(VISIBLE, "all"))
    if named == {"all"} and not request.gpus and VISIBLE in request.environment:
        yield (
            "linux.devices",
            f"no GPU, but {VISIBLE}=all",
            "add the node's devices to linux.devices",
        )
    if named and _can_be_counted(named) and not _are_the_gpus(named, request.gpus):
        yield (
            "linux.devices",
            f"GPUs {', '.join(request.gpus) or 'none'}, but {VISIBLE}={','.join(sorted(named))}",
            "name the same GPUs in both",
        )


def _can_be_counted(named: set[str]) -> bool:
    """Whether every name is none, an index or a UUID of a full GPU."""
    return named == {"none"} or all(part.isdigit() or part.startswith("GPU-") for part in named)


def _are_the_gpus(named: set[str], gpus: Sequence[str]) -> bool:
    """Whether as many GPUs are named, and every index is that of one."""
    indices = {part for part in named if part.isdigit()}
    return len(named - {"none"}) == len(gpus) and indices <= set(gpus)


def runsc_binary(request: LaunchRequest) -> Problems:
    """runsc is built for this machine, executable by all users, and has its helper programs."""
    for problem, step in binary.problems(request.runsc) if request.runsc else ():
        yield "runsc", problem, step


def sockets(request: LaunchRequest) -> Problems:
    """No mount is a socket of the driver's services: runsc cannot open it and ends with EOF."""
    for index, mount in request.mounts:
        source = request.source(mount)
        is_service = "run" in source.parts and any(name in str(source) for name in SERVICES)
        if source.is_socket() or (is_service and not source.is_file()):
            yield (
                f"mounts[{index}]",
                f"{source} is a socket",
                "remove it; nvidia-ctk cdi generate: CDI_FEATURE_FLAGS=disable-ipc-discoverer",
            )
