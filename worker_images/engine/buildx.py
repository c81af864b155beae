"""A run of docker buildx, with progress on standard error and the full log in a file."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker_images.engine.endpoint import Endpoint
from worker_images.errors import DriftError, EngineError, FetchError, ImageBuildError
from worker_images.model.oci.inflate import Compression

CERTIFICATES = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
# Proxies, which BuildKit does not record in the history, and Go's mirrors, which only the builder
# stage declares.
PASSED_ON = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "GOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
)
FAILURES: tuple[tuple[str, type[ImageBuildError], str], ...] = (
    (
        r"no space left on device|disk quota exceeded",
        EngineError,
        "free some space on the engine's disk, for example: docker builder prune",
    ),
    (r"missing go\.sum entry|updates to go\.mod needed", DriftError, "run: make lock"),
    (r"^[\d.]+ the digest of the patched sources", DriftError, "run: make lock"),
    (
        r"SECURITY ERROR|checksum mismatch|WARNING: .* computed checksum",
        FetchError,
        "these are not the pinned bytes; find out who changed them",
    ),
    (
        r"go: .*(: reading https?://\S+: 4\d\d |unknown revision|version .* invalid)",
        FetchError,
        "check module and version in versions.yaml, GOPROXY, and GONOSUMDB for your own fork",
    ),
    (
        r"dial tcp|no such host|i/o timeout|connection refused|TLS handshake|x509:",
        FetchError,
        "check the network, proxies and CA certificates, then run again",
    ),
)
# What BuildKit's output option adds. For zstd, the archive is compressed afterwards: BuildKit's
# own encoder takes as long, and its layers are 15% larger.
OUTPUTS: Mapping[Compression, str] = {
    "gzip": "",
    "zstd": ",compression=uncompressed,force-compression=true",
}
# The line above and below the failed step's last lines.
RULE = "------"
# All stages, not only what the image has; in a form that every registry takes.
EXPORT = "type=registry,ref={},mode=max,image-manifest=true,oci-mediatypes=true"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@dataclass(frozen=True)
class Job:
    """A build for buildx: a Dockerfile, a context and one output."""

    dockerfile: Path
    context: Path
    output: str
    epoch: int
    target: str | None = None
    no_cache: bool = False
    contexts: Mapping[str, str] = field(default_factory=dict)
    architecture: str = "amd64"
    # Whether a step uses a network, and thus needs this machine's proxies and certificates.
    network: bool = False
    # Images in registries that hold the results of steps.
    cache_from: str | None = None
    cache_to: str | None = None

    @property
    def target_definition(self) -> dict[str, object]:
        """The job as a target of a bake file."""
        passed = {name: f"${{{name}}}" for name in PASSED_ON if os.environ.get(name)}
        return {
            "context": _literal(self.context),
            "dockerfile": _literal(self.dockerfile),
            "contexts": {name: _literal(source) for name, source in self.contexts.items()},
            "args": {"SOURCE_DATE_EPOCH": str(self.epoch), **passed},
            "output": [_literal(self.output)],
            "attest": ["type=provenance,disabled=true", "type=sbom,disabled=true"],
            "no-cache": self.no_cache,
            "platforms": [f"linux/{self.architecture}"],
            **(
                {"secret": [f"id=ca,src={CERTIFICATES}"]}
                if self.network and CERTIFICATES.exists()
                else {}
            ),
            **({"target": self.target} if self.target else {}),
            **({"cache-from": [f"type=registry,ref={self.cache_from}"]} if self.cache_from else {}),
            **({"cache-to": [EXPORT.format(self.cache_to)]} if self.cache_to else {}),
        }


def archive(destination: Path, compression: Compression = "gzip") -> str:
    """The output option that writes an image to a file, as comma-separated values."""
    field = f"dest={destination}"
    if "," in field or '"' in field:
        field = '"' + field.replace('"', '""') + '"'
    return f"type=docker,{field},rewrite-timestamp=true,oci-mediatypes=true{OUTPUTS[compression]}"


def _literal(value: object) -> str:
    """Text with bake's template markers escaped."""
    return str(value).replace("${", "$${").replace("%{", "%%{")


def bake(jobs: Mapping[str, Job]) -> str:
    """A bake file of jobs, by name.

    It names variables of the environment, but does not hold their values.
    """
    passed = {name: {"default": ""} for name in PASSED_ON if os.environ.get(name)}
    targets = {name: job.target_definition for name, job in jobs.items()}
    file = {"group": {"default": {"targets": list(jobs)}}, "target": targets}
    return json.dumps(({"variable": passed} if passed else {}) | file, indent=1)


def build(endpoint: Endpoint, jobs: Mapping[str, Job], log: Path) -> None:
    """Run all jobs at once, and shared steps once; raises EngineError, which names the log."""
    file = log.with_suffix(".bake.json")
    file.write_text(bake(jobs))
    command = [
        *endpoint.buildx,
        "bake",
        "--file",
        str(file),
        *(["--builder", endpoint.builder] if endpoint.builder else []),
    ]
    # Newer releases ask for permission to read the files that a bake file names; this one is ours.
    if _run(command, {**endpoint.environment, "BUILDX_BAKE_ENTITLEMENTS_FS": "0"}, log):
        raise _failure(log)


def _run(command: list[str], environment: dict[str, str], log: Path) -> int:
    """Run buildx; copy its progress to standard error and to the log."""
    with subprocess.Popen(
        [*command, "--progress=plain"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout
        # On SIGTERM, buildx cancels its build on the engine.
        with log.open("wb") as file, ended(process, signal.SIGTERM):
            for line in process.stdout:
                file.write(line)
                _show(line)
    return process.returncode


def _show(data: bytes) -> None:
    """Write progress to standard error; a closed one does not end the work."""
    with contextlib.suppress(OSError):
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()


@contextlib.contextmanager
def ended(process: "subprocess.Popen[bytes]", by: signal.Signals) -> Iterator[None]:
    """If the block fails, send the process a signal and wait until it has cleaned up."""
    try:
        yield
    except BaseException:
        process.send_signal(by)
        process.wait()
        raise


def _failure(log: Path) -> ImageBuildError:
    """The error of a failed build: stale sums, a failed or wrong download, or a failed step."""
    text = ESCAPES.sub("", log.read_text(errors="replace"))
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    if fault := _patch_fault(lines):
        return EngineError(f"building: {fault}; change the patch, or delete it; full log: {log}")
    failed = _failed_step(lines)
    for pattern, kind, fix in FAILURES:
        found = [line for line in failed if re.search(pattern, line)]
        if found:
            return kind(f"building: {found[-1]}; {fix}; full log: {log}")
    errors = [line for line in lines if "ERROR" in line]
    last = (errors or lines or ["no output from buildx"])[-1]
    return EngineError(f"building: {last}; full log: {log}")


def _failed_step(lines: list[str]) -> list[str]:
    """The failed step's last lines, which BuildKit repeats, and its errors.

    Earlier failures that were retried are left out.
    """
    begin = lines.index(RULE) if RULE in lines else len(lines)
    errors = [line for line in lines[:begin] if "ERROR" in line]
    return [*errors, *lines[begin:]] or lines[-1:]


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
