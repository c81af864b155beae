"""Commands for whoever launches sandboxes: bundle, lint, explain."""

import argparse
import json
import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from worker_images.model.drivers import table
from worker_images.model.drivers.kernel import VERSION
from worker_images.model.drivers.table import DRIVERS
from worker_images.node import bundle, cause, lint, node
from worker_images.node.command import OK, REFUSED, Command, Log
from worker_images.node.launch import Launch
from worker_images.node.runsc import FLAGS
from worker_images.node.spec import Container, SpecError


def _pair(mark: str) -> Callable[[str], tuple[str, str]]:
    """What argparse reads two words with a mark between them by."""

    def pair(text: str) -> tuple[str, str]:
        before, found, after = text.partition(mark)
        if not found or not before:
            raise argparse.ArgumentTypeError(f"{text!r} has no {mark!r}")
        return before, after

    return pair


def _absolute(text: str) -> Path:
    """A path as OCI takes it: what is relative would be read from the bundle."""
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with /")
    return Path("/", text.lstrip("/"))


def _describe_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rootfs",
        type=_absolute,
        required=True,
        help="the unpacked root of the user's image, as runsc sees it",
    )
    parser.add_argument(
        "--into", type=Path, required=True, metavar="FOLDER", help="where the bundle goes"
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
        help="what the user's image sets; may be repeated",
    )
    parser.add_argument(
        "--mount",
        type=_pair(":"),
        action="append",
        default=[],
        metavar="FROM:TO",
        help="a folder or file more, read-only; may be repeated",
    )
    parser.add_argument(
        "--host",
        default="",
        metavar="FOLDER",
        help="where the node's root lies for runsc, if it runs in a container",
    )
    parser.add_argument(
        "argv", nargs="+", metavar="COMMAND", help="what runs in the container, behind --"
    )


def _bundle(arguments: argparse.Namespace, _: Path, __: Log) -> tuple[int, str]:
    mounts = tuple((_absolute(source), to) for source, to in arguments.mount)
    found, made = node.read(), arguments.into
    if not found.libraries and arguments.gpus != "none":
        absent = (
            f"no libcuda.so.{found.driver} on this node"
            if found.driver
            else f"no NVIDIA driver on this node: there is no {VERSION}"
        )
        raise SpecError(f"{absent}; run: python3 -m worker_images.node verify --node")
    bundle.write(
        found,
        Container(
            arguments.rootfs, tuple(arguments.argv), dict(arguments.env), mounts, arguments.gpus
        ),
        made,
        arguments.host,
    )
    files = (
        f"{found.driver}, {len(found.libraries)} libraries, found by {found.found}"
        if found.libraries
        else "none"
    )
    return (
        OK,
        (
            f"bundle  {made}\ndriver  {files}\nnext    runsc {shlex.join(FLAGS)} run --bundle"
            f" {made} NAME"
        ),
    )


def _describe_lint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="a bundle's folder, or a config.json")
    parser.add_argument(
        "--host",
        default="",
        metavar="FOLDER",
        help="where the node's root lies for runsc, if it runs in a container",
    )
    parser.add_argument(
        "flags", nargs="*", metavar="FLAG", help="the flags that runsc is started with, behind --"
    )
    parser.add_argument("--runsc", type=Path, metavar="FILE", help="runsc itself")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _lint(arguments: argparse.Namespace, _: Path, __: Log) -> tuple[int, str]:
    path = arguments.bundle / "config.json" if arguments.bundle.is_dir() else arguments.bundle
    try:
        specification = json.loads(path.read_text())
    except ValueError as error:
        raise SpecError(f"{path}: no JSON: {error}") from error
    launch = Launch(
        specification, node.read(), tuple(arguments.flags), arguments.runsc, arguments.host
    )
    try:
        found = lint.violations(launch)
    except (AttributeError, KeyError, TypeError) as error:
        raise SpecError(
            f"{path}: not an OCI specification: {type(error).__name__}: {error}"
        ) from error
    if arguments.json:
        return REFUSED if found else OK, json.dumps([asdict(each) for each in found], indent=1)
    lines = [f"{path}: {each.rule} {each.where}: {each.problem}; {each.step}" for each in found]
    return (REFUSED, "\n".join(lines)) if found else (OK, f"{path}: {len(lint.RULES)} rules kept")


def _describe_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "logs",
        nargs="+",
        type=Path,
        help="files, or folders of them, that runsc wrote with --debug --debug-log",
    )


def _explain(arguments: argparse.Namespace, root: Path, _: Log) -> tuple[int, str]:
    files = [
        file
        for path in arguments.logs
        for file in (sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path])
    ]
    text = "\n".join(file.read_text(errors="replace") for file in files)
    reasons = [
        f"{each.name}\n  seen   {each.line}\n  means  {each.words}\n  next   {each.step}"
        for each in cause.explain(text, table.read(root / DRIVERS))
    ]
    nothing = (
        f"nothing known in {len(files)} {'file' if len(files) == 1 else 'files'}; look for FATAL,"
        " and for lines that begin with W or E"
    )
    return (OK, "\n".join(reasons)) if reasons else (REFUSED, nothing)


COMMANDS = (
    Command(
        "bundle",
        "write the OCI bundle of a user's GPU container, for runsc without any hook",
        "--rootfs /run/rootfs --into /run/bundle -- python3 train.py",
        _describe_bundle,
        _bundle,
    ),
    Command(
        "lint",
        "say what is wrong with a GPU container's OCI specification",
        "/run/bundle -- --nvproxy --platform=systrap",
        _describe_lint,
        _lint,
    ),
    Command(
        "explain",
        "say in words why a sandbox failed, from runsc's debug log",
        "/var/log/runsc",
        _describe_explain,
        _explain,
    ),
)
