"""The command bundle: writes the OCI bundle of a user's container."""

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path

from worker_images.model.drivers.kernel import VERSION
from worker_images.node import bundle, limits, node
from worker_images.node.command import OK, Command, Log
from worker_images.node.limits import Limits
from worker_images.node.node import Node
from worker_images.node.runsc import flags
from worker_images.node.spec import Container, SpecError


def _pair(separator: str) -> Callable[[str], tuple[str, str]]:
    """Return an argparse type for two words with a separator between them."""

    def parse(text: str) -> tuple[str, str]:
        before, found, after = text.partition(separator)
        if not found or not before:
            raise argparse.ArgumentTypeError(f"{text!r} has no {separator!r}")
        return before, after

    return parse


def _absolute(text: str) -> Path:
    """Parse an absolute path; OCI resolves a relative one against the bundle."""
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with /")
    return Path("/", text.lstrip("/"))


def _mount(text: str) -> tuple[Path, str]:
    """Parse FROM:TO, two absolute paths; TO is not the root and has no further part."""
    source, destination = _pair(":")(text)
    parts = destination.split("/")
    if parts[0] or not any(parts) or {".", ".."} & {*parts} or ":" in destination:
        raise argparse.ArgumentTypeError(
            f"{destination!r} is not an absolute path below / without '.', '..' and ':'"
        )
    return _absolute(source), destination


def _network(text: str) -> str:
    """Parse none, host, or the path of a network namespace."""
    return text if text in {"none", "host"} else str(_absolute(text))


def _limit(parse: Callable[[str], float]) -> Callable[[str], float]:
    """Return an argparse type with the message of a parser."""

    def parsed(text: str) -> float:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def _host(text: str) -> str:
    return str(_absolute(text)).rstrip("/") if text else ""


def add_host(parser: argparse.ArgumentParser) -> None:
    """Add the option for a worker that has the node's root in a folder."""
    parser.add_argument(
        "--host",
        type=_host,
        default="",
        metavar="FOLDER",
        help="the path of the node's root as runsc sees it, if runsc runs in a container",
    )


def _add_bundle_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rootfs",
        type=_absolute,
        required=True,
        help="the unpacked root of the user's image, as runsc sees it",
    )
    parser.add_argument(
        "--into", type=Path, required=True, metavar="FOLDER", help="the folder for the bundle"
    )
    parser.add_argument(
        "--gpus", default="all", help="all, none, or numbers such as 0,2; default: all"
    )
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
    add_host(parser)
    parser.add_argument(
        "argv", nargs="+", metavar="COMMAND", help="the container's command, after --"
    )


def _add_sandbox_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network",
        type=_network,
        default="none",
        metavar="none|host|FILE",
        help="none, the worker's own, or a network namespace such as /run/netns/job-1;"
        " default: none",
    )
    for name, parse, text in (
        ("memory", limits.size, "the most memory, such as 512m or 2g; default: unlimited"),
        ("cpus", limits.cpus, "the most processor time, such as 1.5; default: unlimited"),
        ("pids", limits.processes, "the most processes, such as 200; default: unlimited"),
    ):
        parser.add_argument(f"--{name}", type=_limit(parse), default=0, metavar="N", help=text)


def _bundle(arguments: argparse.Namespace, _: Path, __: Log) -> tuple[int, str]:
    this_node, path = node.read(), arguments.into
    if not this_node.libraries and arguments.gpus != "none":
        missing = (
            f"no libcuda.so.{this_node.driver} on this node"
            if this_node.driver
            else f"no NVIDIA driver on this node: {VERSION} does not exist"
        )
        raise SpecError(f"{missing}; run: python3 -m worker_images.node verify --node")
    container = Container(
        arguments.rootfs,
        tuple(arguments.argv),
        dict(arguments.env),
        tuple(arguments.mount),
        arguments.gpus,
        arguments.network,
        Limits(arguments.memory, arguments.cpus, arguments.pids),
    )
    bundle.write(this_node, container, path, arguments.host)
    chosen = flags(container.network, limited=bool(container.limits), gpus=container.gpus != "none")
    lines = (
        f"bundle  {path}",
        f"driver  {_driver_files(this_node)}",
        f"next    runsc {shlex.join(chosen)} run --bundle {path} NAME",
    )
    return OK, "\n".join(lines)


def _driver_files(this_node: Node) -> str:
    if not this_node.libraries:
        return "none"
    count = len(this_node.libraries)
    return f"{this_node.driver}, {count} libraries from {this_node.source}"


COMMAND = Command(
    "bundle",
    "write the OCI bundle of a user's GPU container, for runsc without a hook",
    "--rootfs /run/rootfs --into /run/bundle -- python3 train.py",
    _add_bundle_arguments,
    _bundle,
)
