"""The options of a release, checked before any work."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from worker_images.errors import UsageError
from worker_images.model.component import Architecture
from worker_images.model.oci.inflate import Compression
from worker_images.release import cosign, policy
from worker_images.release.names import check_name
from worker_images.release.record import check_version
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

    @property
    def verifier(self) -> str:
        """The options that verify what this request signs."""
        if self.keyless:
            return f"--identity {self.identity} --issuer {self.issuer}"
        return f"--key {self.key.with_suffix('.pub')}" if self.key else "--key release.pub"

    def tag_of(self, variant: str) -> str:
        """The tag of a variant in this version, which never moves."""
        return f"{self.version}-{variant}"


def check(request: Request, variants: Iterable[str]) -> None:
    """Check options that need no network; raises UsageError."""
    check_name(request.target, "--to")
    check_version(request.version, variants, "--version")
    policy.required(request.required)
    if missing := [str(path) for path in request.results if not path.exists()]:
        raise UsageError(f"--results {', '.join(missing)}: no such file or folder")
    if missing := [str(path) for path in request.results_keys if not path.is_file()]:
        raise UsageError(f"--results-key {', '.join(missing)}: no such file")
    _check_signer(request)


def _check_signer(request: Request) -> None:
    """Check the options that name the signer and the builder; raises UsageError."""
    if request.key or not request.dry_run:
        cosign.check_keys(request.key, keyless=request.keyless)
    named = (request.identity, request.issuer)
    if request.keyless and not all(named):
        raise UsageError("--keyless: name the workflow with --identity and --issuer")
    if any(named) and not request.keyless:
        raise UsageError("--identity and --issuer need --keyless; with --key leave them out")
    if request.builder_id and not urlsplit(request.builder_id).scheme:
        raise UsageError(
            f"--builder-id {shown(request.builder_id)!r}: not a URI; use one such as"
            " https://builds.example/worker-images"
        )
