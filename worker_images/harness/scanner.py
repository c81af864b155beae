"""Secrets in texts and files, found by Kingfisher's rules and by a few of our own.

https://github.com/mongodb/kingfisher. It reads files and opens no connection: secrets are not
validated with their issuers.
"""

import json
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

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
    "--format=json",
)
# A file is scanned in pieces, so that a large program needs little memory. They overlap by more
# than the length of a secret.
PIECE, OVERLAP = 8 << 20, 16 << 10
# What no rule of Kingfisher finds: a password in a URL, a registry's login, AWS's key alone. Each
# has a text that all matches contain, which is fast to find in a large program, and a pattern.
OWN_RULES = {
    "url with a password": (
        b"://",
        rb"[a-z][a-z0-9+.-]{1,20}://[A-Za-z0-9._~%-]{1,64}:[^\s:@/'\"<>{}$]{3,128}@[a-z0-9]",
    ),
    "registry login": (b'"auth"', rb'"auth"\s{0,8}:\s{0,8}"[A-Za-z0-9+/]{16,512}={0,2}"'),
    "aws access key": (b"AKIA", rb"\bAKIA[A-Z2-7]{16}\b"),
}
# The bytes before and behind that text which a pattern can match.
BEFORE, BEHIND = 64, 1024

# A name for messages, and the contents in chunks.
Text = tuple[str, Iterable[bytes]]


def scan(texts: Iterable[Text], confidence: str = "medium") -> dict[str, set[str]]:
    """Return the rules that match, by the name of the text; raises EngineError.

    Never returns a secret itself.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = dict(_pieces(texts, folder))
        found: dict[str, set[str]] = {}
        for file, name in names.items():
            for rule in _own((folder / file).read_bytes()):
                found.setdefault(name, set()).add(rule)
        for file, rule in _kingfisher(folder, confidence) if names else ():
            found.setdefault(names[file], set()).add(rule)
        return found


def _pieces(texts: Iterable[Text], folder: Path) -> Iterator[tuple[str, str]]:
    """Write each text as files of at most PIECE bytes; yield each file with the text's name."""
    number = 0
    for name, chunks in texts:
        rest = b""
        for chunk in chunks:
            rest += chunk
            while len(rest) > PIECE:
                number += 1
                (folder / f"{number}").write_bytes(rest[:PIECE])
                yield f"{number}", name
                rest = rest[PIECE - OVERLAP :]
        number += 1
        (folder / f"{number}").write_bytes(rest)
        yield f"{number}", name


def _own(data: bytes) -> Iterator[str]:
    for rule, (text, pattern) in OWN_RULES.items():
        compiled = re.compile(pattern)
        position = data.find(text)
        while position >= 0:
            if compiled.search(data, max(0, position - BEFORE), position + BEHIND):
                yield rule
                break
            position = data.find(text, position + 1)


def _kingfisher(folder: Path, confidence: str) -> Iterator[tuple[str, str]]:
    """Yield the file and the rule of each finding."""
    command = [str(PROGRAM), "scan", str(folder), *OPTIONS, f"--confidence={confidence}"]
    command += [f"--rule-cache-dir={CACHE / 'kingfisher'}"]
    result = subprocess.run(command, capture_output=True, check=False)
    try:
        report = json.loads(result.stdout.splitlines()[0])
        rows = [(row["finding"]["path"], row["rule"]["id"]) for row in report["findings"]]
        scanned = report["metadata"]["summary"]["blobs_scanned"]
    except (IndexError, ValueError, KeyError, TypeError) as error:
        last = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise EngineError(f"scanning for secrets: {PROGRAM.name} failed: {last}") from error
    if not scanned:
        raise EngineError(f"scanning for secrets: {PROGRAM.name} read no file")
    for path, rule in rows:
        yield Path(path).name, rule
