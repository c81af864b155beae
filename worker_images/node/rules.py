"""The rules F3 to F12 of docs/launcher.md: each reads a launch and yields what is wrong."""

from collections.abc import Iterator
from typing import Any

from worker_images.node import loader
from worker_images.node.binary import faults
from worker_images.node.launch import Launch
from worker_images.node.node import CONTROL, GPU, MEMORY

VISIBLE, CAPABILITIES = "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"
ALLOWED = "nvproxy-allowed-driver-capabilities"
# pkg/sentry/devices/nvproxy/nvconf/caps.go: what is allowed by default, and by "all".
DEFAULT_CAPABILITIES = {"compute", "utility"}
ALL_CAPABILITIES = {*DEFAULT_CAPABILITIES, "graphics", "video"}
UNSERVED_CAPABILITIES = {"ngx", "display", "compat32"}
MIG = "/dev/nvidia-caps/"
HOOKS = {
    "nvidia-container-runtime-hook": (
        "runsc calls nvidia-container-cli for it, which slim does not hold"
    ),
    "nvidia-cdi-hook": (
        "gVisor accepts it from 20260406.0 on and runs it in the sandbox's root from 20260520.0 on;"
        " only full holds it"
    ),
    "nvidia-ctk": "a program of NVIDIA's toolkit, which only full holds",
}
SERVICES = ("nvidia-persistenced", "nvidia-fabricmanager")

# Where in the specification, what is wrong, and the next step.
Found = Iterator[tuple[str, str, str]]


def forced_abi(launch: Launch) -> Found:
    """No flag makes nvproxy speak another driver's ABI, or is for gVisor's own tests."""
    for name, value in launch.options.items():
        if name == "nvproxy-driver-version" and value:
            yield (
                "flags",
                f"--{name}={value} speaks an ABI that is not the driver's",
                "leave it out; a refused driver needs another gVisor",
            )
        if name.startswith("TESTONLY-"):
            yield "flags", f"--{name} is for gVisor's own tests, and unsafe", "leave it out"


def libcuda(launch: Launch) -> Found:
    """With a device comes the libcuda of the node's driver, and programs get that one."""
    found, driver = loader.files(launch), launch.node.driver
    versions, first = loader.versions(found), loader.loaded(launch, found)
    step = "mount the driver's files of this very node: python3 -m worker_images.node bundle"
    if launch.devices and not driver:
        yield (
            "linux.devices",
            "devices of NVIDIA's driver, and the node has none loaded",
            "load the driver's modules, or leave them out",
        )
    elif launch.devices and driver not in versions.values():
        others = ", ".join(sorted(versions))
        yield (
            "mounts",
            (
                "devices, and no mount brings"
                f" libcuda.so.{driver}{f', only {others}' if others else ''}"
            ),
            step,
        )
    elif launch.devices and first and versions[first] != driver:
        yield (
            "process.env",
            f"libcuda.so.1 is {first}, and the driver is {driver}",
            "put the folder of the driver's own first",
        )


def found_by_loader(launch: Launch) -> Found:
    """What is mounted is found by the loader: a folder in LD_LIBRARY_PATH, with a link
    libcuda.so.1.
    """
    found, folders = loader.files(launch), loader.folders(launch)
    mounted = [
        path
        for path, version in loader.versions(found).items()
        if version and version == launch.node.driver
    ]
    for folder in (
        {path.rpartition("/")[0] for path in mounted} if not loader.loaded(launch, found) else ()
    ):
        if folder not in folders:
            yield (
                "process.env",
                f"{folder} is not in LD_LIBRARY_PATH",
                f"put {folder} first in LD_LIBRARY_PATH",
            )
        if not loader.target(f"{folder}/libcuda.so.1", found):
            yield (
                "mounts",
                f"no link {folder}/libcuda.so.1",
                (
                    "mount a folder with the SONAME links, as python3 -m worker_images.node bundle"
                    " makes it"
                ),
            )


def capabilities(launch: Launch) -> Found:
    """NVIDIA_DRIVER_CAPABILITIES asks for what nvproxy allows."""
    asked, allowed = (
        _names(launch.environment.get(CAPABILITIES, "")),
        _names(launch.options.get(ALLOWED, "")) or DEFAULT_CAPABILITIES,
    )
    served = (allowed | (ALL_CAPABILITIES if "all" in allowed else set())) - UNSERVED_CAPABILITIES
    if more := set() if "all" in asked else asked - served:
        yield (
            "process.env",
            f"{CAPABILITIES} asks for {', '.join(sorted(more))}",
            "set it to compute,utility",
        )


def _names(value: str) -> set[str]:
    return {name.strip() for name in value.split(",") if name.strip()}


def device_numbers(launch: Launch) -> Found:
    """Devices are complete, of the kernel's numbers, and those that nvproxy serves."""
    names = {device["path"].removeprefix("/dev/") for _, device in launch.devices}
    for missing in sorted({CONTROL, MEMORY} - names) if launch.gpus else ():
        yield (
            "linux.devices",
            f"a GPU, and no /dev/{missing}",
            f"add /dev/{missing} with the node's numbers",
        )
    for number, device in launch.devices:
        where, name = f"linux.devices[{number}]", device["path"].removeprefix("/dev/")
        if name not in (CONTROL, MEMORY) and not GPU.match(name):
            if not device["path"].startswith(MIG):
                yield where, f"nvproxy does not serve {device['path']}", "leave it out"
        elif fault := _fault(launch, device):
            yield where, fault, "take type and numbers from stat of the node's device"


def _fault(launch: Launch, device: dict[str, Any]) -> str:
    path = device["path"]
    seen = next(
        (f"c {each.major}:{each.minor}" for each in launch.node.devices if each.path == path), ""
    )
    given = f"{device.get('type')} {device.get('major', 0)}:{device.get('minor', 0)}"
    return (
        ""
        if given == seen
        else f"{path} is {given}, and {f'is {seen} on the node' if seen else 'is not on the node'}"
    )


def hooks(launch: Launch) -> Found:
    """No NVIDIA hook: slim holds no program for it."""
    for stage, each in (launch.specification.get("hooks") or {}).items():
        paths = [hook["path"] for hook in each or ()]
        for path in dict.fromkeys(paths):
            if why := HOOKS.get(path.rpartition("/")[2]):
                yield (
                    f"hooks.{stage}[{paths.index(path)}]",
                    f"{path}: {why}",
                    "leave the hook out, and write devices and files yourself",
                )
    if launch.asks("nvproxy-docker"):
        yield (
            "flags",
            "--nvproxy-docker: runsc calls nvidia-container-cli for it, which slim does not hold",
            "leave it out",
        )


def visible_devices(launch: Launch) -> Found:
    """NVIDIA_VISIBLE_DEVICES names whole GPUs; nvproxy has no MIG."""
    value = launch.environment.get(VISIBLE, "all")
    if parts := sorted(
        part
        for part in _names(value) - {"all", "none", "void"}
        if not part.isdigit() and not part.startswith("GPU-")
    ):
        yield (
            "process.env",
            f"{VISIBLE} names {', '.join(parts)}; nvproxy knows whole GPUs",
            "hand out whole GPUs, by number or GPU-...",
        )
    elif launch.gpus and value in ("", "void"):
        yield (
            "process.env",
            f"{VISIBLE}={value!r} beside GPU {', '.join(launch.gpus)}",
            "name the GPUs by number",
        )
    for number, device in launch.devices:
        if device["path"].startswith(MIG):
            yield (
                f"linux.devices[{number}]",
                f"{device['path']} is for MIG, which nvproxy has not",
                "leave it out; hand out whole GPUs",
            )


def gpu_count(launch: Launch) -> Found:
    """As many GPUs as NVIDIA_VISIBLE_DEVICES says, the same ones."""
    named = _names(launch.environment.get(VISIBLE, "all"))
    if named == {"all"} and not launch.gpus and VISIBLE in launch.environment:
        yield (
            "linux.devices",
            f"no GPU, and {VISIBLE}=all",
            "put the node's devices into linux.devices",
        )
    indices = {part for part in named if part.isdigit()}
    whole = (
        named == {"none"} or {part for part in named if part.startswith("GPU-")} == named - indices
    )
    if (
        named
        and whole
        and (len(named - {"none"}) != len(launch.gpus) or not indices <= {*launch.gpus})
    ):
        yield (
            "linux.devices",
            f"GPUs {', '.join(launch.gpus) or 'none'}, and {VISIBLE}={','.join(sorted(named))}",
            "name the same in both",
        )


def runsc_binary(launch: Launch) -> Found:
    """runsc is a program of this machine that everybody may run, with its helpers beside it where
    it has them outside.
    """
    for problem, step in faults(launch.runsc) if launch.runsc else ():
        yield "runsc", problem, step


def sockets(launch: Launch) -> Found:
    """No socket of the driver's services: the gofer cannot open one, and the sandbox ends with
    EOF.
    """
    for number, mount in launch.mounts:
        source = launch.source(mount)
        named = "run" in source.parts and any(name in str(source) for name in SERVICES)
        if source.is_socket() or (named and not source.is_file()):
            yield (
                f"mounts[{number}]",
                f"{source} is a socket",
                "leave it out; nvidia-ctk cdi generate: CDI_FEATURE_FLAGS=disable-ipc-discoverer",
            )
