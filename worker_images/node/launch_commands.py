"""Commands for launchers of sandboxes: bundle, lint, explain."""

import argparse
import json
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.model.drivers import table
from worker_images.model.drivers.kernel import VERSION
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.oci.inflate import GZIP
from worker_images.node import bundle, diagnose, lint, node, shape
from worker_images.node.command import CHECK_FAILED, OK, Command, Log
from worker_images.node.launch_request import LaunchRequest
from worker_images.node.node import Node
from worker_images.node.runsc import FLAGS
from worker_images.node.spec import Container, SpecError
from worker_images.untrusted import UntrustedError, read_json


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


def _host(text: str) -> str:
    return str(_absolute(text)).rstrip("/") if text else ""


def _add_host(parser: argparse.ArgumentParser) -> None:
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
    _add_host(parser)
    parser.add_argument(
        "argv", nargs="+", metavar="COMMAND", help="the container's command, after --"
    )


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
    )
    bundle.write(this_node, container, path, arguments.host)
    lines = (
        f"bundle  {path}",
        f"driver  {_driver_files(this_node)}",
        f"next    runsc {shlex.join(FLAGS)} run --bundle {path} NAME",
    )
    return OK, "\n".join(lines)


def _driver_files(this_node: Node) -> str:
    if not this_node.libraries:
        return "none"
    count = len(this_node.libraries)
    return f"{this_node.driver}, {count} libraries from {this_node.source}"


def _add_lint_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="a bundle's folder, or a config.json")
    _add_host(parser)
    parser.add_argument("flags", nargs="*", metavar="FLAG", help="runsc's flags, after --")
    parser.add_argument("--runsc", type=Path, metavar="FILE", help="the runsc binary, to check it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _lint(arguments: argparse.Namespace, _: Path, __: Log) -> tuple[int, str]:
    path = arguments.bundle / "config.json" if arguments.bundle.is_dir() else arguments.bundle
    try:
        specification = read_json(path)
        shape.check(specification)
    except UntrustedError as error:
        raise UsageError(f"{path}: not an OCI specification: {error}") from error
    request = LaunchRequest(
        specification, node.read(), tuple(arguments.flags), arguments.runsc, arguments.host
    )
    found = lint.violations(request)
    status = CHECK_FAILED if found else OK
    if arguments.json:
        return status, json.dumps([asdict(each) for each in found], indent=1)
    if not found:
        return status, f"{path}: {len(lint.RULES)} rules passed"
    lines = [f"{path}: {each.rule} {each.where}: {each.problem}; {each.step}" for each in found]
    return status, "\n".join(lines)


def _add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "logs",
        nargs="+",
        type=Path,
        help="log files, or folders of them, that runsc wrote with --debug --debug-log",
    )


def _explain(arguments: argparse.Namespace, root: Path, _: Log) -> tuple[int, str]:
    files = [
        file
        for path in arguments.logs
        for file in (sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path])
    ]
    packed = [file for file in files if _is_compressed(file)]
    if packed == files:
        places = ", ".join(map(str, packed or arguments.logs))
        raise UsageError(f"{places}: no log in plain text; unpack compressed ones with gunzip")
    plain = [file for file in files if file not in packed]
    causes = [
        f"{each.name}\n  seen   {each.line}\n  means  {each.message}\n  next   {each.step}"
        for each in diagnose.explain_blocks(_blocks(plain), table.read(root / DRIVERS))
    ]
    if causes:
        return OK, "\n".join(causes)
    noun = "file" if len(plain) == 1 else "files"
    advice = "search for FATAL, and for lines that begin with W or E"
    skipped = f"; not read, because compressed: {packed[0]}" if packed else ""
    return CHECK_FAILED, f"no known cause in {len(plain)} {noun}; {advice}{skipped}"


def _is_compressed(path: Path) -> bool:
    # What is read from a pipe is gone.
    if not path.is_file():
        return False
    with path.open("rb") as log:
        return log.read(len(GZIP)) == GZIP


def _blocks(files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        with path.open("rb") as log:
            yield from diagnose.blocks(log)


COMMANDS = (
    Command(
        "bundle",
        "write the OCI bundle of a user's GPU container, for runsc without a hook",
        "--rootfs /run/rootfs --into /run/bundle -- python3 train.py",
        _add_bundle_arguments,
        _bundle,
    ),
    Command(
        "lint",
        "check the OCI specification of a GPU container",
        "/run/bundle -- --nvproxy --platform=systrap",
        _add_lint_arguments,
        _lint,
    ),
    Command(
        "explain",
        "explain why a sandbox failed, from runsc's debug log",
        "/var/log/runsc",
        _add_explain_arguments,
        _explain,
    ),
)
