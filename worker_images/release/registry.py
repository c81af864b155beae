"""Repositories of images: in a registry, or a folder with an OCI layout. oras reads and writes.

oras takes credentials, helpers and proxies from Docker's settings and the environment. It repeats
requests that may succeed later, and sends a blob only if the registry does not have it.
"""

import json
import os
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from worker_images.errors import ImageBuildError, PolicyError, RegistryError, UsageError
from worker_images.release.names import LAYOUT, check_name
from worker_images.release.tools import Done, Tools
from worker_images.untrusted import UntrustedError, parse_json, shown

LOOPBACK = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?")
# Missing credentials are "not found" too, without the colon.
ABSENT = ": not found"
PLAIN = "server gave HTTP response to HTTPS client"
# The tag by which a registry is tried, in an error.
PROBED = re.compile(r"(failed to find |[A-Z][a-z]+ )?\S*\blatest\b\S* ")
# Where Docker keeps the certificates of private registries.
CERTIFICATES = Path("/etc/docker/certs.d")
# The status of a Go program that crashed: oras 1.2.0 does if two copies fail at once.
CRASHED = 2
# Faults of a connection, which oras does not repeat, and of a registry that loses a blob.
PASSING = re.compile(r"EOF|connection reset|broken pipe|blob unknown")
# oras sends the token of an upload's first request with the second one, also if it has expired.
EXPIRED = re.compile(f"{PASSING.pattern}|unauthorized")
ATTEMPTS = 3
# oras reads each blob that it copies, and compares it with its digest.
ALTERED = re.compile(
    r"mismatch(ed)? digest|digest mismatch|mismatch between|mismatch content-length", re.IGNORECASE
)
# oras reads no manifest of more than 4 MiB, and every page of a list.
TOO_LARGE, LISTING_SECONDS = "size exceeds limit", 30.0
QUERY = re.compile(r"\?[^\s\"]*")
# Patterns of errors, with the next step. {host} is the registry.
ADVICE = (
    (r"x509|certificate", "name the CA's certificate with --ca-file"),
    (
        r"\b40[13]\b|unauthorized|denied|forbidden|authentication required|credential",
        "log in with an account that may do this: docker login {host}",
    ),
    (r"\b405\b|unsupported", "the registry is read-only; ask its operator, or name another one"),
    (r"\b429\b|too ?many ?requests", "the registry limits requests; wait, then run again"),
    (
        r"\b50[0-9]\b|internal server error|unavailable|registry: unknown:",
        "the registry failed; see its log and its free space, then run again",
    ),
    (
        r"dial tcp|no such host|timeout|connection re|EOF|broken pipe",
        "check the registry's name, the network and proxies, then run again",
    ),
    (r"no space left", "free some space here and run again"),
)
OTHERWISE = "check the name and the registry's log, then run again"


@dataclass(frozen=True)
class Repository:
    """A repository: REGISTRY/NAME, or the folder of an OCI layout.

    `plain` is set for a registry without TLS; `ca_file` names the CA of a registry's certificate.
    """

    tools: Tools
    name: str
    is_layout: bool = False
    plain: bool = False
    ca_file: Path | None = None

    @property
    def host(self) -> str:
        """The registry."""
        return self.name.partition("/")[0]

    def shown(self, reference: str) -> str:
        """A reference, :TAG or @DIGEST, as users write it."""
        return f"{LAYOUT if self.is_layout else ''}{self.name}{reference}"

    def resolve(self, reference: str) -> str | None:
        """The digest of the manifest that a reference names; None if there is none."""
        done = self._run("manifest", "fetch", "--descriptor", reference)
        if done.status == 0:
            return str(self._json(done, reference)["digest"])
        if done.message.endswith(ABSENT):
            return None
        raise self.error(f"reading {self.shown(reference)}", done)

    def blob_size(self, digest: str) -> int | None:
        """The size of a blob; None if there is none."""
        done = self._run("blob", "fetch", "--descriptor", f"@{digest}")
        if done.status == 0:
            return int(self._json(done, f"@{digest}")["size"])
        if done.message.endswith(ABSENT):
            return None
        raise self.error(f"reading {self.shown(f'@{digest}')}", done)

    def altered(self, digest: str) -> bool:
        """Whether the repository sends a blob with other bytes than its digest says."""
        done = self._run("blob", "fetch", f"--output={os.devnull}", f"@{digest}")
        return done.status != 0 and bool(ALTERED.search(done.message))

    def manifest(self, digest: str) -> bytes:
        """The bytes of a manifest."""
        done = self._run("manifest", "fetch", f"@{digest}")
        if done.status:
            raise self.error(f"reading {self.shown(f'@{digest}')}", done)
        return done.output

    def referrers(self, digest: str) -> tuple[str, ...]:
        """The digests of the manifests whose subject has this digest.

        Raises RegistryError, and PolicyError if the list does not end.
        """
        action = f"reading the referrers of {self.shown(f'@{digest}')}"
        try:
            done = self._run("discover", "--format", "json", f"@{digest}", limit=LISTING_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise PolicyError(f"{action}: it takes longer than {LISTING_SECONDS:.0f} s") from error
        if done.status:
            raise self.error(action, done)
        return tuple(str(each["digest"]) for each in self._json(done, "")["manifests"] or ())

    def tag(self, digest: str, *tags: str) -> None:
        """Let tags name a manifest."""
        done = self._run("tag", f"@{digest}", after=tags)
        if done.status:
            raise self.error(f"tagging {self.shown(f'@{digest}')}", done)

    def copy_to(self, target: "Repository", digest: str, each: Callable[[str], None]) -> None:
        """Copy a manifest and everything it names to another repository, without a tag.

        `each` is called with oras's lines of progress. `oras cp --recursive` would also copy the
        referrers, but crashes if two of its requests fail.
        """
        options = ["cp", "--no-tty", "--verbose"]
        options += [*self._options("from-"), *target._options("to-")]  # noqa: SLF001
        names = [f"{self.name}@{digest}", target.name]
        done = _repeated(lambda: self.tools.lines("oras", [*options, *names], each), EXPIRED)
        if done.status == CRASHED:
            options.append("--concurrency=1")
            done = _repeated(lambda: self.tools.lines("oras", [*options, *names], each), EXPIRED)
        if done.status:
            where = self if target.is_layout else target
            action = f"reading {self.shown(f'@{digest}')}"
            if not target.is_layout:
                action = f"no tag was moved: copying {self.shown(f'@{digest}')} to {target.name}"
            raise where.error(action, done)

    def error(self, action: str, done: Done) -> ImageBuildError:
        """The error of a failed command, with the next step."""
        cause = shown(QUERY.sub("", done.message), 400)
        if ALTERED.search(done.message):
            return PolicyError(
                f"{action}: {cause}; bytes do not match their digest; see the storage and the"
                " proxies of the registry"
            )
        if TOO_LARGE in done.message:
            return PolicyError(f"{action}: {cause}")
        if self.is_layout:
            return RegistryError(f"{action}: {cause}; check the folder, then run again")
        found = (advice for text, advice in ADVICE if re.search(text, done.message, re.IGNORECASE))
        return RegistryError(f"{action}: {cause}; {next(found, OTHERWISE).format(host=self.host)}")

    def _run(self, *words: str, after: Sequence[str] = (), limit: float | None = None) -> Done:
        *command, reference = words
        arguments = [*command, *self._options(""), self.name + reference, *after]
        return _repeated(lambda: self.tools.run("oras", arguments, limit))

    def _options(self, prefix: str) -> list[str]:
        found = [f"--{prefix}oci-layout"] if self.is_layout else []
        found += [f"--{prefix}plain-http"] if self.plain else []
        return found + ([f"--{prefix}ca-file={self.ca_file}"] if self.ca_file else [])

    def _json(self, done: Done, reference: str) -> Any:  # noqa: ANN401 - any JSON
        try:
            return parse_json(done.output)
        except UntrustedError as error:
            raise RegistryError(
                f"reading {self.shown(reference)}: not valid: {error}; is it a registry?"
            ) from error


def _repeated(run: Callable[[], Done], passing: re.Pattern[str] = PASSING) -> Done:
    """Run a command, again if its fault may pass; a crash does not replace the cause."""
    done = run()
    for attempt in range(1, ATTEMPTS):
        if not done.status or not passing.search(done.message):
            break
        time.sleep(attempt / 2)
        again = run()
        done = done if again.status == CRASHED else again
    return done


def connect(tools: Tools, name: str, ca_file: Path | None = None) -> Repository:
    """Open REGISTRY/NAME, without TLS if it is a loopback address that has none.

    Raises UsageError, also for a `ca_file` without a certificate, and RegistryError.
    """
    check_name(name)
    if ca_file:
        _check_certificate(ca_file)
    host = name.partition("/")[0]
    own = CERTIFICATES / host / "ca.crt"
    found = Repository(tools, name, ca_file=ca_file or (own if own.is_file() else None))
    done = found._run("manifest", "fetch", "--descriptor", ":latest")  # noqa: SLF001
    if PLAIN in done.message and LOOPBACK.fullmatch(host):
        found = replace(found, plain=True)
        done = found._run("manifest", "fetch", "--descriptor", ":latest")  # noqa: SLF001
    if done.status and not done.message.endswith(ABSENT):
        done = replace(done, errors=PROBED.sub("", done.errors))
        raise found.error(f"connecting to {host}", done)
    return found


def _check_certificate(path: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise UsageError(
            f"--ca-file {path}: not a certificate in PEM; name the certificate of the CA that"
            " signed the registry's certificate"
        ) from error


def open_place(tools: Tools, name: str, ca_file: Path | None = None) -> Repository:
    """Open REGISTRY/NAME or oci:FOLDER; raises UsageError or RegistryError."""
    if not name.startswith(LAYOUT):
        return connect(tools, name, ca_file)
    folder = Path(name.removeprefix(LAYOUT))
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; check the path")
    if not os.path.lexists(folder / "index.json"):
        raise UsageError(f"{folder}: not an OCI layout: it has no index.json; check the path")
    return Repository(tools, str(folder.absolute()), is_layout=True)


def as_json(value: object) -> bytes:
    """The one JSON text of a value that is published, so that its digest is always the same."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
