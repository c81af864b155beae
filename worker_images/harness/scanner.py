"""Secrets in texts and files, found by Kingfisher's rules and by a few of our own.

https://github.com/mongodb/kingfisher. It reads files and opens no connection: secrets are not
validated with their issuers.
"""

import bisect
import itertools
import json
import re
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from worker_images.errors import EngineError
from worker_images.files import CACHE

PROGRAM = Path(sysconfig.get_path("purelib"), "kingfisher", "bin", "kingfisher")
OPTIONS = (
    "--no-validate",
    "--no-update-check",
    "--no-ignore",
    "--no-extract-archives",
    "--no-dedup",
    "--no-limits",
    "--redact",
    "--jobs=2",
    "--format=jsonl",
)
# Kingfisher holds its findings in memory, about 3.5 kB each, and reports them at its end.
MAX_MEMORY, OUT_OF_MEMORY = 1 << 30, b"memory allocation of"
MAX_FINDINGS = 10_000
# The place of a finding that counts the others.
ALL = "all files"
# What is scanned is packed into files of this size, so that a large program needs little memory and
# thousands of small files little time. Pieces of one text overlap by more than a secret's length.
PIECE, OVERLAP = 8 << 20, 16 << 10
# Between two texts.
GAP = b"\n\n"
# Kingfisher guesses encodings and formats; bytes of a hostile file could make it skip the rest. So
# all bytes that are not printable ASCII become line ends, and it reads plain text only.
PLAIN = bytes(byte if byte == 9 or 32 <= byte < 127 else 10 for byte in range(256))

# A text in UTF-16 of either order, of which the scanner gets a plain copy.
WIDE = re.compile(rb"(?:[\x20-\x7e]\0){16,}")
# A pattern is slow in a large program. So each byte is first replaced by its kind: a space for
# printable ASCII, zero, or one. In that copy the beginning of every match is a fixed text.
KINDS = bytes(32 if 32 <= byte < 127 else min(byte, 1) for byte in range(256))
WIDE_KINDS = b" \0" * 16

# Secrets that Kingfisher does not find: a password in a URL, a registry's login, an AWS key alone.
# Each has a pattern, and a text in every match that is fast to find in a large program.
OWN_RULES = {
    "url with a password": (
        b"://",
        rb"[a-z][a-z0-9+.-]{1,20}://[A-Za-z0-9._~%-]{1,64}:[^\s:@/'\"<>{}$]{3,128}@[a-z0-9]",
    ),
    "registry login": (b'"auth"', rb'"auth"\s{0,8}:\s{0,8}"[A-Za-z0-9+/]{16,512}={0,2}"'),
    # The keys in AWS's documentation end in EXAMPLE.
    "aws access key": (b"AKIA", rb"\bAKIA(?![A-Z2-7]{9}EXAMPLE)[A-Z2-7]{16}\b"),
}
# The bytes before and after that text that a pattern can match.
BEFORE, BEHIND = 64, 1024

# Folders of published packages, and the rules that match examples in their documents, tests and
# sources. Rules that know an issuer's tokens apply there too.
PACKAGES = re.compile(r".*/(site-packages|dist-packages|node_modules|lib/python3[0-9.]*)/.+")
# Debian's libraries, some of which test themselves with keys.
LIBRARIES = re.compile(r"/usr/lib/[a-z0-9_]+-linux-gnu/lib[^/]+\.so\.[0-9.]+")
EXAMPLES = {
    "betterleaks.gcp-application-default-credentials",
    "betterleaks.generic-credential-uri",
    "betterleaks.jwt",
    "betterleaks.mongodb-connection-string",
    "betterleaks.posthog-project-api-key",
    "betterleaks.private-key",
    "url with a password",
}

# A name for messages, and the contents in chunks.
Text = tuple[str, Iterable[bytes]]


def scan(texts: Iterable[Text], confidence: str = "medium") -> dict[str, set[str]]:
    """Return the rules that match, by the name of the text; raises EngineError.

    Never returns a secret itself.
    """
    with tempfile.TemporaryDirectory() as scratch:
        packed = _Packed(Path(scratch))
        found: dict[str, set[str]] = {}
        for name, chunks in texts:
            for piece in _pieces(chunks):
                packed.add(name, piece)
                for rule in _own(piece):
                    found.setdefault(name, set()).add(rule)
        packed.flush()
        rows = _kingfisher(packed.folder, confidence) if packed.names else iter(())
        try:
            for file, line, rule in itertools.islice(rows, MAX_FINDINGS):
                found.setdefault(packed.name(file, line), set()).add(rule)
            if next(rows, None):
                found[ALL] = {f"more than {MAX_FINDINGS} secrets, which are not all listed"}
        except _TooManyError:
            found[ALL] = {f"more secrets than fit in {MAX_MEMORY >> 20} MiB, which are not listed"}
        return found


def without_examples(
    found: Mapping[str, set[str]], *, libraries: bool = False
) -> dict[str, set[str]]:
    """The findings in files by path, without those in packages that may be examples.

    With `libraries`, Debian's shared libraries are such packages, too.
    """

    def may_be_example(path: str) -> bool:
        return bool(PACKAGES.fullmatch(path) or (libraries and LIBRARIES.fullmatch(path)))

    own = {
        path: rules - EXAMPLES if may_be_example(path) else rules for path, rules in found.items()
    }
    return {path: rules for path, rules in own.items() if rules}


class _Packed:
    """Files of many texts, and the line at which each text begins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.buffer = bytearray()
        self.lines = 1
        self.starts: dict[str, list[int]] = {}
        self.names: dict[str, list[str]] = {}

    def add(self, name: str, piece: bytes) -> None:
        """Add a text, or a piece of one."""
        if self.buffer and len(self.buffer) + len(piece) > PIECE:
            self.flush()
        file = str(len(self.names)) if not self.buffer else str(len(self.names) - 1)
        self.starts.setdefault(file, []).append(self.lines)
        self.names.setdefault(file, []).append(name)
        data = b"\n".join([piece, *_wide(piece)]).translate(PLAIN) + GAP
        self.lines += data.count(b"\n")
        self.buffer += data

    def flush(self) -> None:
        """Write the file that is being filled."""
        if self.buffer:
            (self.folder / str(len(self.names) - 1)).write_bytes(self.buffer)
        self.buffer, self.lines = bytearray(), 1

    def name(self, file: str, line: int) -> str:
        """The text at a line of a file."""
        return self.names[file][bisect.bisect_right(self.starts[file], line) - 1]


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        rest += chunk
        while len(rest) > PIECE:
            yield rest[:PIECE]
            rest = rest[PIECE - OVERLAP :]
    yield rest


def _wide(data: bytes) -> Iterator[bytes]:
    """A plain copy of each text in UTF-16."""
    kinds, begin = data.translate(KINDS), 0
    while (begin := kinds.find(WIDE_KINDS, begin)) >= 0:
        match = WIDE.match(data, begin)
        assert match
        begin = match.end()
        yield match[0].replace(b"\0", b"")


def _own(data: bytes) -> Iterator[str]:
    for rule, (text, pattern) in OWN_RULES.items():
        compiled = re.compile(pattern)
        position = data.find(text)
        while position >= 0:
            end = position + BEHIND
            # The matches of all texts before `end` are in what is searched, which is read twice.
            if compiled.search(data, max(0, position - BEFORE), end + BEHIND):
                yield rule
                break
            position = data.find(text, end)


class _TooManyError(Exception):
    """Kingfisher found more secrets than it may hold in memory."""


def _kingfisher(folder: Path, confidence: str) -> Iterator[tuple[str, int, str]]:
    """Yield the file, the line and the rule of each finding."""
    command = ["prlimit", f"--data={MAX_MEMORY}", str(PROGRAM), "scan", str(folder), *OPTIONS]
    command += [f"--confidence={confidence}", f"--rule-cache-dir={CACHE / 'kingfisher'}"]
    with tempfile.TemporaryFile() as report:
        result = subprocess.run(command, stdout=report, stderr=subprocess.PIPE, check=False)
        if result.returncode == -signal.SIGABRT and OUT_OF_MEMORY in result.stderr:
            raise _TooManyError
        report.seek(0)
        try:
            yield from _rows(report)
        except (ValueError, KeyError, TypeError) as error:
            last = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise EngineError(f"scanning for secrets: {PROGRAM.name} failed: {last}") from error


def _rows(report: Iterable[bytes]) -> Iterator[tuple[str, int, str]]:
    """Yield the findings of a report; its last line counts the files."""
    row: dict[str, Any] = {}
    for line in report:
        row = json.loads(line)
        if "finding" in row:
            finding = row["finding"]
            yield Path(finding["path"]).name, int(finding["line"]), row["rule"]["id"]
    if not row["blobs_scanned"]:
        raise EngineError(f"scanning for secrets: {PROGRAM.name} did not read any file")
