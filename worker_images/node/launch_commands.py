"""Commands for launchers of sandboxes: bundle, lint, explain."""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.oci.inflate import GZIP
from worker_images.node import bundle_command, diagnose, lint, node, shape
from worker_images.node.command import CHECK_FAILED, OK, Command, Log
from worker_images.node.launch_request import LaunchRequest
from worker_images.untrusted import UntrustedError, read_json


def _add_lint_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="a bundle's folder, or a config.json")
    bundle_command.add_host(parser)
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
    bundle_command.COMMAND,
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
