"""The private Kubernetes cluster: one node in its own namespaces, with the images of out/."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_images.build.doctor import cluster as requirements
from worker_images.build.go_programs import Parts
from worker_images.build.record import Record, exclusive
from worker_images.build.tars import Progress
from worker_images.cluster import gpus, links, parts, settings
from worker_images.cluster.links import Link
from worker_images.cluster.settings import NODE, Options
from worker_images.errors import EngineError, UsageError
from worker_images.files import CACHE
from worker_images.model.gpus import GPU
from worker_images.model.tree import Tree
from worker_images.node import node, stand_in

STATE = CACHE / "cluster"
IMAGE = "registry.example.com/worker"
START_SECONDS = 90
PAUSE_SECONDS = 0.1
READY = "ready"
RESTART = """kill "$(cat /run/gpu-plugin.pid)"
gpu-plugin "$@" >>/var/log/cluster/gpu-plugin 2>&1 </dev/null &
echo $! >/run/gpu-plugin.pid
"""
# The kubelet's log has this line each time.
REGISTERED = "Got registration request from device plugin"
LOG_LINES = 5
# How klog begins the lines of errors.
ERRORS = ("E", "F")


@dataclass(frozen=True)
class Cluster:
    """A cluster; its state is in a folder, and its programs end with `stop`."""

    root: Path
    state: Path = STATE

    @property
    def _scripts(self) -> Path:
        return Tree(self.root).checkout / parts.FOLDER

    @property
    def kubeconfig(self) -> Path:
        """The administrator's access to the cluster."""
        return self.state / "etc" / "admin.json"

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's version."""
        return self.state / "programs" / "kubectl"

    @property
    def running(self) -> bool:
        """Whether the programs of the node run."""
        return self.state.is_dir() and self._script("status").returncode == 0

    def stop(self) -> None:
        """End the programs of the node and remove its data; raises EngineError."""
        if self.state.is_dir():
            self._checked("stop")

    def exec(self, command: Sequence[str], stdin: Path | None = None) -> str:
        """Run a command in the namespaces of the node; raises EngineError."""
        return self._checked("exec", *command, stdin=stdin)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return objects of the cluster; raises EngineError with kubectl's message."""
        command = [str(self.kubectl), f"--kubeconfig={self.kubeconfig}", "get", "--output=json"]
        result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        if result.returncode:
            raise EngineError(f"kubectl get {' '.join(arguments)}: {result.stderr.strip()}")
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def hand_out(self, options: Options) -> None:
        """Start the device plugin again, with other options; raises EngineError."""
        log = self.state / "logs" / "cluster" / "kubelet"
        before = log.read_text().count(REGISTERED)
        self.exec(["sh", "-c", RESTART, "sh", *options.plugin.split()])
        # Pods that come before the new plugin are refused for good.
        self._wait(lambda: log.read_text().count(REGISTERED) > before, "the device plugin")
        count = str(options.gpus * options.replicas)
        self._wait(lambda: self._gpus() == count, f"{GPU}: {count}")

    def start(self, own: Parts, progress: Progress, options: Options) -> None:
        """Make what is missing, start the node and wait until it is ready; raises EngineError."""
        kubernetes = parts.kubernetes(own)
        tools = CACHE / "tools"
        requirements.check(
            compiled=kubernetes.path(own).is_file(), unpacked=parts.is_unpacked(own, tools)
        )
        debian = parts.debian(own, tools, progress)
        pause = parts.pause(own, progress)
        program = kubernetes.compiled(own, progress)
        with exclusive(self.state, progress, "starting the cluster"):
            if self.running and (self.state / READY).is_file():
                self._check_driver(options.driver)
                progress("cluster: it is already running")
                self._import(progress)
                return
            self.stop()
            parts.write_programs(self.root, program, self.state / "programs", progress)
            parts.write_pause_image(pause, self.state / "pause.tar")
            progress("cluster: starting")
            begun = time.monotonic()
            try:
                with links.unused() as link:
                    self._configure(debian, options, link)
                    self._checked("start")
                self._wait_for_containerd()
                if not options.stand_in:
                    self.exec(["mkdir", "-p", f"{gpus.CONFIGURATION}/cdi"])
                    self.exec(gpus.GENERATE)
                self._import(progress)
                self._wait(self._is_ready, "the node to be ready")
            except BaseException:
                self.stop()
                raise
            # A node that was killed while it started has no such file.
            (self.state / READY).touch()
            progress(f"cluster: {NODE} is ready after {time.monotonic() - begun:.1f} s")

    def _check_driver(self, driver: str) -> None:
        """Check the driver of the node that runs; raises UsageError."""
        running = (self.state / "driver").read_text()
        if running != driver:
            raise UsageError(
                f"the node that runs has driver {running}; to start one with {driver}, run first:"
                " ./build.py cluster stop"
            )

    def _configure(self, debian: Path, options: Options, link: Link) -> None:
        folder = self.state / "etc"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        if options.stand_in:
            gpus.write_stand_ins(folder, options.driver, options.gpus)
        for name, text in settings.files(link, options).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o600)
        shutil.copy(self._scripts / "services", folder)
        (self.state / "link").write_text(link.line)
        (self.state / "driver").write_text(options.driver)
        place = self.state / "root"
        place.unlink(missing_ok=True)
        place.symlink_to(debian)

    def _import(self, progress: Progress) -> None:
        """Import the images of out/ that the node does not have."""
        images = ["ctr", "--namespace=k8s.io", "images"]
        known = self.exec([*images, "list", "--quiet"]).split()
        if settings.PAUSE not in known:
            self.exec([*images, "import", "-"], self.state / "pause.tar")
        for archive in sorted((self.root / "out").glob("*/image.tar")):
            built = Record.read(archive.with_name("build.json"))
            if not built or built.architecture != "amd64":
                continue
            name = f"{IMAGE}@{built.manifest_digest}"
            if name not in known:
                progress(f"cluster: importing {name}, {built.variant}")
                options = [f"--base-name={IMAGE}", "--digests", "-"]
                self.exec([*images, "import", *options], archive)

    def _wait_for_containerd(self) -> None:
        def responds() -> bool:
            return self._script("exec", "ctr", "version").returncode == 0

        self._wait(responds, "containerd")

    def _is_ready(self) -> bool:
        try:
            status = self.get("node", NODE)["status"]
            # Without it, pods are refused.
            self.get("serviceaccount", "default")
        except EngineError:
            return False
        ready = {each["type"]: each["status"] for each in status["conditions"]}.get("Ready")
        return ready == "True" and self._gpus() != "0"

    def _gpus(self) -> str:
        found: str = self.get("node", NODE)["status"].get("allocatable", {}).get(GPU, "0")
        return found

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not done():
            if time.monotonic() > deadline or not self.running:
                raise EngineError(f"waited for {what}; {self._last_lines()}")
            time.sleep(PAUSE_SECONDS)

    def _last_lines(self) -> str:
        """The program that ended with the last lines of its log, or the errors in all logs."""
        folder = self.state / "logs" / "cluster"
        log = (self.state / "log").read_text(errors="replace").splitlines()
        found = [f"see the logs in {folder}", *log[-LOG_LINES:]]
        ended = [line.split()[0] for line in log if " ended with exit status " in line][:1]
        for path in sorted(folder.glob("*")):
            lines = path.read_text(errors="replace").splitlines()
            errors = [line for line in lines if line.startswith(ERRORS)]
            if path.name in ended or not ended:
                shown = lines if path.name in ended else errors
                found += [f"{path.name}: {line}" for line in shown[-LOG_LINES:]]
        return "\n".join(found)

    def _checked(self, action: str, *arguments: str, stdin: Path | None = None) -> str:
        result = self._script(action, *arguments, stdin=stdin)
        if result.returncode:
            raise EngineError(result.stderr.strip() or f"{action}: {result.stdout.strip()}")
        return result.stdout

    def _script(
        self, action: str, *arguments: str, stdin: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        command = [str(self._scripts / "node"), action, str(self.state), *arguments]
        # Its programs outlive a signal to this process group, such as that of Ctrl-C.
        with (stdin or Path("/dev/null")).open("rb") as source:
            return subprocess.run(
                command,
                stdin=source,
                capture_output=True,
                text=True,
                check=False,
                start_new_session=True,
            )


def of_machine(driver: str | None = None) -> Options:
    """Return the options of a node with this machine's GPUs, or with a stand-in of one."""
    here = node.read()
    if not here.driver:
        return Options(driver or stand_in.DRIVER)
    return Options(here.driver, len(here.gpus), stand_in=False)
