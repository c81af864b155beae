"""The options of a release, checked before any work."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.model.component import Architecture
from worker_images.model.oci.inflate import Compression
from worker_images.release import cosign, policy
from worker_images.release.cosign import MAX_KEY, PUBLIC
from worker_images.release.record import VERSION
from worker_images.release.registry import NAME
from worker_images.untrusted import shown


@dataclass(frozen=True)
class Request:
    """The options of `build.py release`.

    Without `architectures`, a variant is released for the platforms of its variant.yaml.
    """

    variants: tuple[str, ...]
    target: str
    version: str
    architectures: tuple[Architecture, ...] = ()
    compression: Compression = "gzip"
    required: tuple[str, ...] = ()
    results: tuple[Path, ...] = ()
    key: Path | None = None
    keyless: bool = False
    identity: str = ""
    issuer: str = ""
    ca_file: Path | None = None
    builder_id: str = ""
    allow_dirty: bool = False
    keep_floating: bool = False
    build: bool = True
    results_keys: tuple[Path, ...] = ()
    dry_run: bool = False

    def tag_of(self, variant: str) -> str:
        """The tag of a variant in this version, which never moves."""
        return f"{self.version}-{variant}"


def check(request: Request, variants: Iterable[str]) -> None:
    """Check options that need no network; raises UsageError."""
    if not NAME.fullmatch(request.target):
        raise UsageError(
            f"--to {shown(request.target)!r}: not a repository; use a name with its registry and"
            " without a tag, such as registry.example/team/worker"
        )
    if not VERSION.fullmatch(request.version):
        raise UsageError(
            f"--version {shown(request.version)!r}: not a version; use letters, digits, . _ and -,"
            " such as 1.4.0"
        )
    if named := [each for each in variants if request.version.endswith(f"-{each}")]:
        raise UsageError(
            f"--version {request.version}: ends with a variant, and tags are VERSION-VARIANT; use"
            f" {request.version.removesuffix(f'-{named[0]}')}"
        )
    policy.required(request.required)
    if missing := [str(path) for path in request.results if not path.is_dir()]:
        raise UsageError(f"--results {', '.join(missing)}: no such folder")
    if missing := [str(path) for path in request.results_keys if not path.is_file()]:
        raise UsageError(f"--results-key {', '.join(missing)}: no such file")
    if request.key or not request.dry_run:
        cosign.check_keys(request.key, keyless=request.keyless)
    if request.key and PUBLIC in request.key.read_bytes()[:MAX_KEY]:
        raise UsageError(
            f"--key {request.key}: a public key, which verifies; sign with the .key file of the"
            " pair"
        )
    if request.keyless and not (request.identity and request.issuer):
        raise UsageError("--keyless: name the workflow with --identity and --issuer")
