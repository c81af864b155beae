"""The error of a failed build, from the log of buildx: what failed, and what to do."""

import re
from pathlib import Path

from worker_images.errors import DriftError, EngineError, FetchError, ImageBuildError

NETWORK = (
    "dial tcp|no such host|i/o timeout|connection refused|TLS handshake|x509:|E: Failed to fetch"
    "|Could not (resolve|connect|handshake)|Temporary failure resolving|certificate (verif|is|has)"
)
# What a line of the log shows, in order of precedence: its pattern, the error and the next step.
FAILURES: tuple[tuple[str, type[ImageBuildError], str], ...] = (
    (
        "no space left on device|disk quota exceeded",
        EngineError,
        "free some space on the engine's disk, for example: docker builder prune",
    ),
    (r"missing go\.sum entry|updates to go\.mod needed", DriftError, "run: make lock"),
    (r"^[\d.]+ the digest of the patched sources", DriftError, "run: make lock"),
    (
        "SECURITY ERROR|checksum mismatch|WARNING: .* computed checksum",
        FetchError,
        "these are not the pinned bytes; find out who changed them",
    ),
    (
        # The engine keeps what it received, and would continue with it.
        "failed precondition",
        FetchError,
        "these are not the pinned bytes; find out why, then run: docker builder prune --all",
    ),
    (
        r"go: .*(: reading https?://\S+: 4\d\d |unknown revision|version .* invalid)",
        FetchError,
        "check module and version in versions.yaml, GOPROXY, and GONOSUMDB for your own fork",
    ),
    (
        "(?i)too ?many ?requests",
        FetchError,
        "the registry limits pulls; wait, run docker login, or set mirrors in versions.yaml",
    ),
    (
        "failed to resolve source metadata.*: not found|manifest unknown",
        FetchError,
        "the registry lacks this image; pin the tag and digest of another one in versions.yaml",
    ),
    (
        "not valid (yet|until)|Not live until",
        FetchError,
        "this machine's clock may be wrong; set it, then run again",
    ),
    (
        "NO_PUBKEY|EXPKEYSIG|REVKEYSIG|BADSIG|Missing key|is not signed|Verifying signature",
        FetchError,
        "the trusted key did not sign it; if the owner has a new key, check it and pin its digest",
    ),
    (
        "E: Version .* was not found|Unable to locate package|no installation candidate",
        FetchError,
        "the repository lacks this package; pin a version that it has in versions.yaml",
    ),
    (
        "Hash Sum mismatch|File has unexpected size",
        FetchError,
        "the mirror may be in the middle of an update; run again later, or use another mirror",
    ),
    (
        NETWORK,
        FetchError,
        "check the network, proxies and CA certificates, then run again",
    ),
)
LAST_LINES = 8
# The line above and below the failed step's last lines.
RULE = "------"
# BuildKit's error repeats the failed command, whose text is no cause. Lines of steps have times.
COMMAND = 'process "/bin/sh -c'
STAMP = re.compile(r"^(#[0-9]+ )?[0-9]+\.[0-9]+ ")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def of_log(log: Path) -> ImageBuildError:
    """The error of a failed build: stale sums, a failed or wrong download, or a failed step."""
    text = ESCAPES.sub("", log.read_text(errors="replace"))
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    if fault := _patch_fault(lines):
        return EngineError(f"building: {fault}; change the patch, or delete it; full log: {log}")
    failed = _failed_step(lines)
    for pattern, kind, fix in FAILURES:
        found = [line for line in failed if re.search(pattern, line) and COMMAND not in line]
        if found:
            return kind(f"building: {STAMP.sub('', found[-1])}; {fix}; full log: {log}")
    errors = [line for line in lines if "ERROR" in line]
    last = (errors or lines or ["no output from buildx"])[-1]
    return EngineError(f"building: {last}; full log: {log}")


def _failed_step(lines: list[str]) -> list[str]:
    """The failed step's errors and last lines, which BuildKit mostly repeats at the end.

    Earlier failures that were retried are left out.
    """
    begin = lines.index(RULE) if RULE in lines else len(lines)
    errors = [line for line in lines[:begin] if "ERROR" in line]
    steps = {line.split()[0] for line in errors if re.match(r"#[0-9]+ ERROR", line)}
    own = [line for line in lines[:begin] if line.split()[0] in steps and STAMP.match(line)]
    return [*errors, *own[-LAST_LINES:], *lines[begin:]] or lines[-1:]


def _patch_fault(lines: list[str]) -> str:
    """The patch that does not apply, with each file and hunk; empty if another step failed."""
    failed = {line.split()[0] for line in lines if re.match(r"#\d+ ERROR", line)}
    rows = [line.split(maxsplit=2) for line in lines]
    patch, file, hunks, faults = "", "", list[str](), list[str]()
    for text in (row[2] for row in rows if row[0] in failed and len(row) > 2):
        if applied := re.fullmatch(r"applying (images/\S+)", text):
            patch, file, hunks = applied[1], "", []
        elif begun := re.match(r"patching file (.+)|\|\+\+\+ (\S+)", text):
            file, hunks = begun[1] or f"no file for {begun[2]}", []
        elif re.match(r"Hunk #\d+ FAILED", text):
            hunks.append(text.rstrip("."))
        elif re.match(r"\d+ out of \d+ hunks? (FAILED|ignored)", text):
            faults.append(": ".join(filter(None, (file, ", ".join(hunks)))))
    return f"{patch} does not apply: {'; '.join(faults)}" if patch and faults else ""
