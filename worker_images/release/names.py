"""Names that users write: repositories, folders, tags and digests."""

import re

from worker_images.errors import UsageError
from worker_images.untrusted import shown

LAYOUT = "oci:"
PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
# As in Docker, the first part of a name is a registry if it has a dot or a port, or is localhost.
HOST = re.compile(
    r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:)|\[[0-9a-f:]+\])"
    r"(?::(?P<port>[0-9]+))?"
)
PATH = re.compile(rf"{PART}(?:/{PART})*")
TAG = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SCHEME = re.compile(r"[A-Za-z][A-Za-z+.-]*://")
MAX_NAME, MAX_PORT = 255, 65535
# The part of a text that is shown: no valid name with a tag and a digest is longer.
SHOWN = 500


def name_fault(name: str) -> str:
    """Why a text is not REGISTRY/NAME, with the fix; empty if it is."""
    host, _, path = name.partition("/")
    found = HOST.fullmatch(host)
    if scheme := SCHEME.match(name):
        return f"write it without {scheme[0]}"
    if re.search(r"\s", name):
        return "remove the space"
    if name.endswith("/"):
        return "remove the slash at the end"
    if not found or not path:
        return "use a name with its registry, such as registry.example/team/worker"
    if found["port"] and not 0 < int(found["port"][:6]) <= MAX_PORT:
        return f"use a port from 1 to {MAX_PORT}"
    if "@" in path or ":" in path:
        return "write it without a tag or digest"
    if path != path.lower():
        return f"use lower case: {host}/{path.lower()}"
    if not PATH.fullmatch(path):
        return "use letters, digits, and single . _ - between them"
    return f"use at most {MAX_NAME} characters" if len(name) > MAX_NAME else ""


def check_name(name: str, option: str = "") -> None:
    """Raise UsageError if a text, which is the value of an option, is not REGISTRY/NAME."""
    if fault := name_fault(name):
        raise UsageError(f"{option} {shown(name, SHOWN)!r}: not a repository: {fault}".lstrip())


def split(text: str) -> tuple[str, str]:
    """Split REGISTRY/NAME:TAG, REGISTRY/NAME@DIGEST or oci:FOLDER:TAG into a name and a reference.

    As in Docker, a digest decides, and a tag before it is ignored. Raises UsageError.
    """
    is_folder = text.startswith(LAYOUT)
    if fault := _folder_fault(text) if is_folder else _registry_fault(text):
        raise UsageError(f"{shown(text, SHOWN)!r}: {fault}")
    name, _, digest = text.rpartition("@")
    if DIGEST.fullmatch(digest):
        return (name if is_folder else _parts(name)[0]), f"@{digest}"
    name, _, tag = text.rpartition(":")
    return name, f":{tag}"


def _folder_fault(text: str) -> str:
    """Why a text is neither oci:FOLDER:TAG nor oci:FOLDER@DIGEST; empty if it is."""
    if text.startswith(f"{LAYOUT}//"):
        return "write a folder as oci:FOLDER, without //"
    _, at, digest = text.rpartition("@")
    if at and re.match("sha[0-9]+:", digest, re.IGNORECASE):
        return _digest_fault(digest)
    folder, _, tag = text.removeprefix(LAYOUT).rpartition(":")
    return "" if folder and TAG.fullmatch(tag) else "use oci:FOLDER:TAG or oci:FOLDER@DIGEST"


def _registry_fault(text: str) -> str:
    """Why a text is neither REGISTRY/NAME:TAG nor REGISTRY/NAME@DIGEST; empty if it is."""
    before, at, digest = text.partition("@")
    name, tag = _parts(before)
    if fault := name_fault(name):
        return f"not a repository: {fault}"
    if tag is not None and not TAG.fullmatch(tag):
        return "not a tag: use at most 128 letters, digits and . _ -"
    if at:
        return _digest_fault(digest)
    return "" if tag is not None else "add :TAG or @DIGEST"


def _parts(text: str) -> tuple[str, str | None]:
    """A name, and the tag behind it. A colon before a slash begins a port."""
    start, slash, last = text.rpartition("/")
    path, colon, tag = last.partition(":")
    if not slash or SCHEME.fullmatch(f"{start}/"):
        return text, None
    return f"{start}/{path}", tag if colon else None


def _digest_fault(digest: str) -> str:
    if DIGEST.fullmatch(digest):
        return ""
    if DIGEST.fullmatch(digest.lower()):
        return "write the digest in lower case"
    return "not a digest: use sha256: with 64 hexadecimal digits"
