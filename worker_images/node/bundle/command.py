"""The command bundle: writes the OCI bundle of a user's container."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from worker_images.node import checkpoint, limits, mig, node, options
from worker_images.node.bundle import bundle, driver, mounts, report, root
from worker_images.node.command import OK, Command, Log
from worker_images.node.driver import capabilities
from worker_images.node.limits import Limits
from worker_images.node.options import absolute
from worker_images.node.selection import FORMS, NONE
from worker_images.node.spec import Container

PROGRAM = "python3 -m worker_images.node bundle"
EXAMPLES = f"""--rootfs /run/rootfs --into /run/bundle -- python3 train.py
  {PROGRAM} --gpus 0,2 --memory 64g --read-only \\
    --rootfs /run/rootfs --into /run/bundle -- python3 train.py
  {PROGRAM} --gpus minor:4 --capabilities compute,utility,video \\
    --rootfs /run/rootfs --into /run/bundle -- ffmpeg -hwaccel cuda -i in.mp4 out.mp4
  {PROGRAM} --checkpoint --gpus 0 \\
    --rootfs /run/rootfs --into /run/bundle -- python3 serve.py
  {PROGRAM} --driver-root /host --json \\
    --rootfs /run/rootfs --into /run/bundle -- python3 train.py"""


def _pair(separator: str) -> Callable[[str], tuple[str, str]]:
    """Return an argparse type for two words with a separator between them."""

    def parse(text: str) -> tuple[str, str]:
        before, found, after = text.partition(separator)
        if not found or not before:
            raise argparse.ArgumentTypeError(f"{text!r} has no {separator!r}")
        return before, after

    return parse


def _mount(text: str) -> tuple[Path, str]:
    """Parse FROM:TO, two absolute paths; TO is not the root and has no further part."""
    source, destination = _pair(":")(text)
    parts = destination.split("/")
    if parts[0] or not any(parts) or {".", ".."} & {*parts} or ":" in destination:
        raise argparse.ArgumentTypeError(
            f"{destination!r} is not an absolute path below / without '.', '..' and ':'"
        )
    return absolute(source), destination


def _network(text: str) -> str:
    """Parse none, host, or the path of a network namespace."""
    return text if text in {"none", "host"} else str(absolute(text))


def _limit(parse: Callable[[str], float]) -> Callable[[str], float]:
    """Return an argparse type with the message of a parser."""

    def parsed(text: str) -> float:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def _capabilities(text: str) -> tuple[str, ...]:
    """Parse names of capabilities; all is those of NVIDIA that runsc has."""
    known, of_all = capabilities.SUPPORTED, capabilities.ALL
    words = [word.strip() for word in text.split(",")]
    found = [name for word in words for name in (of_all if word == "all" else [word])]
    for name in found:
        if name in capabilities.UNSUPPORTED:
            raise argparse.ArgumentTypeError(f"runsc does not support the capability {name}")
        if name not in known:
            raise argparse.ArgumentTypeError(
                f"no capability {name!r}; name all, or some of {', '.join(known)}"
            )
    return tuple(name for name in known if name in found)


def _add_bundle_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rootfs",
        type=absolute,
        required=True,
        help="the unpacked root of the user's image, as runsc sees it",
    )
    parser.add_argument(
        "--into", type=Path, required=True, metavar="FOLDER", help="the folder for the bundle"
    )
    parser.add_argument(
        "--gpus", default="all", help=f"all, none, or a list, each {FORMS}; default: all"
    )
    _add_driver_arguments(parser)
    parser.add_argument(
        "--env",
        type=_pair("="),
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable that the user's image sets; may be repeated",
    )
    parser.add_argument(
        "--mount",
        type=_mount,
        action="append",
        default=[],
        metavar="FROM:TO",
        help="another folder or file to mount, read-only; may be repeated",
    )
    _add_sandbox_arguments(parser)
    checkpoint.add_argument(parser)
    options.add_host(parser)
    parser.add_argument(
        "argv", nargs="+", metavar="COMMAND", help="the container's command, after --"
    )


def _add_driver_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--capabilities",
        type=_capabilities,
        default=capabilities.DEFAULT,
        metavar="NAMES",
        help="the parts of the driver: compute, utility, graphics, video, all (of these),"
        " profiling, fabric-imex-mgmt; default: compute,utility",
    )
    parser.add_argument(
        "--driver-root",
        type=absolute,
        metavar="FOLDER",
        help="the folder that has the driver's files where this machine's root has them, such as"
        " /host; default: the known places of this machine",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_sandbox_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network",
        type=_network,
        default="none",
        metavar="none|host|FILE",
        help="none, the worker's own, or a network namespace such as /run/netns/job-1;"
        " default: none",
    )
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="keep programs from writing to the root, except in /tmp and /dev/shm; runsc then needs"
        " no overlay, and finds files faster",
    )
    for name, parse, text in (
        ("memory", limits.size, "the most memory, such as 512m or 2g; default: unlimited"),
        ("cpus", limits.cpus, "the most processor time, such as 1.5; default: unlimited"),
        ("pids", limits.processes, "the most processes, such as 200; default: unlimited"),
    ):
        parser.add_argument(f"--{name}", type=_limit(parse), default=0, metavar="N", help=text)


def _bundle(arguments: argparse.Namespace, _: Path, __: Log) -> tuple[int, str]:
    driver_root: Path | None = arguments.driver_root
    this_node = node.read(driver_root=driver_root) if driver_root else node.read()
    if arguments.gpus != NONE:
        driver.check(this_node)
        # Only a program of this machine's own driver is run.
        this_node = this_node if driver_root else mig.with_mode(this_node)
    container = Container(
        root.resolved(arguments.rootfs, arguments.host),
        tuple(arguments.argv),
        dict(arguments.env),
        tuple(arguments.mount),
        arguments.gpus,
        arguments.network,
        Limits(arguments.memory, arguments.cpus, arguments.pids),
        arguments.capabilities,
        arguments.checkpoint,
        arguments.read_only,
    )
    checkpoint.check(container, arguments.host)
    note = root.check(arguments.rootfs, arguments.host)
    mounts.check_sources(container)
    mounts.check_network(container.network, arguments.host)
    config = bundle.write(this_node, container, arguments.into, arguments.host)
    notes = [note] if note else []
    found = report.report(this_node, container, config, arguments.into, notes)
    return OK, json.dumps(found, indent=1) if arguments.json else report.text(found)


COMMAND = Command(
    "bundle",
    "write the OCI bundle of a user's GPU container, for runsc without a hook",
    EXAMPLES,
    _add_bundle_arguments,
    _bundle,
)
