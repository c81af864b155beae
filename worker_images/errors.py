"""Every way a command can end badly, one class and one exit code a cause.

Only `cli.main` prints them.
"""

from dataclasses import dataclass

MOST_FINDINGS = 100


@dataclass(frozen=True, order=True)
class Finding:
    """One fault in one place of a file, with what to do about it."""

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
    """The common root: its message is one line of cause and the next step.

    `answer` goes to standard output all the same.
    """

    exit_code = 1

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class UsageError(ImageBuildError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class DriftError(UsageError):
    """A generated file is not what its source says."""


class DocumentError(UsageError):
    """A YAML file is refused; all its faults are told at once."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = sorted(set(findings))
        lines = [str(finding) for finding in self.findings[:MOST_FINDINGS]]
        more = len(self.findings) - len(lines)
        super().__init__("\n".join([*lines, *([f"... and {more} more"] if more else [])]))


class InterruptedBuildError(ImageBuildError):
    """Ctrl-C or SIGTERM; says what was done by then."""

    exit_code = 130


class FetchError(ImageBuildError):
    """Bytes could not be had, or are not the bytes that were pinned."""

    exit_code = 3


class NoResponseError(FetchError):
    """A source did not answer, or not with what was asked for.

    `status` is its HTTP status, 0 where it said nothing.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


class EngineError(ImageBuildError):
    """The machine or its container engine cannot do the work."""

    exit_code = 4


class ClientError(EngineError):
    """An engine answers, and nothing here can talk to it."""


class RegistryError(ImageBuildError):
    """A registry did not take an image, or not with the bytes that were judged."""

    exit_code = 6


class MachineError(EngineError):
    """The machine was looked at and is at fault; what was seen is the answer."""


class FailedTestsError(ImageBuildError):
    """The image was built and does not hold what it must."""

    exit_code = 5


class PolicyError(ImageBuildError):
    """What was asked for breaks a promise to the fleet."""

    exit_code = 7
