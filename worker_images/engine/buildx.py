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

from worker_images.engine import failures
from worker_images.engine.endpoint import Endpoint
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
# What BuildKit's output option adds. For zstd, the archive is compressed afterwards: BuildKit's
# own encoder takes as long, and its layers are 15% larger.
OUTPUTS: Mapping[Compression, str] = {
    "gzip": "",
    "zstd": ",compression=uncompressed,force-compression=true",
}
# All stages, not only what the image has; in a form that every registry takes.
EXPORT = "type=registry,ref={},mode=max,image-manifest=true,oci-mediatypes=true"


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
    # Contents that steps may mount, by name. They travel in environment variables of buildx.
    secrets: Mapping[str, str] = field(default_factory=dict)
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
            **({"secret": secrets} if (secrets := [*self._secrets]) else {}),
            **({"target": self.target} if self.target else {}),
            **({"cache-from": [f"type=registry,ref={self.cache_from}"]} if self.cache_from else {}),
            **({"cache-to": [EXPORT.format(self.cache_to)]} if self.cache_to else {}),
        }

    @property
    def _secrets(self) -> Iterator[str]:
        if self.network and CERTIFICATES.exists():
            yield f"id=ca,{_csv(f'src={CERTIFICATES}')}"
        for name in self.secrets:
            yield f"id={name},env={_variable(name)}"


def archive(destination: Path, compression: Compression = "gzip") -> str:
    """The output option that writes an image to a file, as comma-separated values."""
    field = _csv(f"dest={destination}")
    return f"type=docker,{field},rewrite-timestamp=true,oci-mediatypes=true{OUTPUTS[compression]}"


def _variable(secret: str) -> str:
    """The environment variable that holds a secret."""
    return f"WORKER_SECRET_{re.sub('[^0-9A-Za-z]', '_', secret).upper()}"


def _csv(field: str) -> str:
    """A field of comma-separated values."""
    return '"' + field.replace('"', '""') + '"' if "," in field or '"' in field else field


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
    environment = {**endpoint.environment, "BUILDX_BAKE_ENTITLEMENTS_FS": "0"}
    for job in jobs.values():
        environment |= {_variable(name): text for name, text in job.secrets.items()}
    if _run(command, environment, log):
        raise failures.of_log(log)


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
