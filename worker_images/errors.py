"""The errors of all commands: one class and one exit code for each cause.

Only `console.main` prints them.
"""

from dataclasses import dataclass

MAX_FINDINGS = 100


@dataclass(frozen=True, order=True)
class Finding:
    """A fault at one place of a file, and how to fix it."""

    file: str
    line: int
    column: int
    key: str
    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}:{self.column}: {self.key}: {self.what}; {self.why};"
            f" {self.fix}"
        )


class ImageBuildError(Exception):
    """Base class: the message is one line with the cause and the next step.

    `output` is printed to standard output even though the command failed.
    """

    exit_code = 1

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class UsageError(ImageBuildError):
    """The command line is not valid."""

    exit_code = 2


class DriftError(UsageError):
    """A generated file differs from what its source renders."""


class DocumentError(UsageError):
    """A YAML file is not valid; the message lists all its faults."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = sorted(set(findings))
        lines = [str(finding) for finding in self.findings[:MAX_FINDINGS]]
        more = len(self.findings) - len(lines)
        super().__init__("\n".join([*lines, *([f"... and {more} more"] if more else [])]))


class InterruptedBuildError(ImageBuildError):
    """Ctrl-C or SIGTERM; the message lists what was done before it."""

    exit_code = 130


class FetchError(ImageBuildError):
    """A download failed, or its bytes differ from the pinned ones."""

    exit_code = 3


class NoResponseError(FetchError):
    """A server did not respond, or not with the requested data.

    `status` is the HTTP status; 0 without a response.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


class EngineError(ImageBuildError):
    """The machine or its container engine cannot run the command."""

    exit_code = 4


class ClientError(EngineError):
    """An engine responds, but this machine has no client for it."""


class RegistryError(ImageBuildError):
    """A registry did not accept an image, or stored other bytes than those that were tested."""

    exit_code = 6


class MachineError(EngineError):
    """The machine does not meet the requirements; `output` is the report about it."""


class FailedTestsError(ImageBuildError):
    """The image was built and failed its tests."""

    exit_code = 5


class PolicyError(ImageBuildError):
    """A policy refuses: a driver, an update, a tag, a digest or a signature."""

    exit_code = 7
