"""A shell in the worker's container that stays open; a container that ends is an error."""

from dataclasses import dataclass, field

from worker_images.harness.open_shell import OpenShell, TransportError
from worker_images.node.place import CommandResult, PlaceError
from worker_images.node.pod.kubectl import Pod
from worker_images.node.pod.objects import Object, container_of, status_of
from worker_images.untrusted import printable

SECONDS = 60.0


@dataclass
class Worker:
    """The pod, its object when the run began, and a shell in its container."""

    pod: Pod
    found: Object
    lost: str = ""
    _shell: OpenShell | None = field(default=None, repr=False)

    @property
    def container(self) -> Object:
        """The specification of the container."""
        return container_of(self.found, self.pod.container)

    @property
    def status(self) -> Object:
        """The status of the container when the run began."""
        return status_of(self.found, self.pod.container)

    def run(self, line: str, seconds: float = SECONDS) -> CommandResult:
        """Run a command line in the container; raises PlaceError, also after the shell was lost."""
        if self.lost:
            raise PlaceError(self.lost)
        try:
            if self._shell is None:
                self._shell = OpenShell(self.pod.shell)
            status, output, errors = self._shell.run(line.encode(), seconds)
        except (OSError, TransportError) as error:
            self.lost = printable(f"lost the shell in pod {self.pod.name}: {self._why(error)}")
            raise PlaceError(self.lost) from error
        # A pod may print what a terminal obeys.
        texts = (printable(each.decode(errors="replace")) for each in (output, errors))
        return CommandResult(status, *texts)

    def check_alive(self) -> None:
        """Raise PlaceError if the shell was lost; it ends with the container."""
        answer = self.run("echo alive")
        # kubectl itself also writes warnings to the error output.
        if (answer.status, answer.output) != (0, "alive\n"):
            printed = f"{answer.output!r} and {answer.errors!r}"
            self.lost = f"the shell in pod {self.pod.name} prints {printed}"
            raise PlaceError(self.lost)

    def close(self) -> None:
        """Close the shell."""
        if self._shell:
            self._shell.close()

    def _why(self, error: Exception) -> str:
        """What the cluster reports about the container now, or else the error of the shell."""
        try:
            self.pod.wait_for_end()
            found = self.pod.get("pod", self.pod.name)
        except PlaceError as current:
            return f"{error}; {current}"
        if found["metadata"].get("uid") != self.found["metadata"].get("uid"):
            return "another pod has its name now; run the checks again"
        now = status_of(found, self.pod.container)
        before, after = (each.get("restartCount", 0) for each in (self.status, now))
        ended = now.get("lastState", {}).get("terminated") or now.get("state", {}).get("terminated")
        if after != before or ended:
            end = ended or {}
            why = f"{end.get('reason', 'unknown')}, exit code {end.get('exitCode', 'unknown')}"
            return (
                f"the container ended ({why}), restart count {before}, now {after}; read its log:"
                f" {self.pod.show('logs', '--previous', self.pod.name)}"
            )
        return f"{error}; run the checks again"
