"""Stand-ins: runsc, which counts instead of running containers, and the program of a model."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The model's program: saves a file, or prints numbers and tokens that repeat after 32.
MODEL = """
import sys, time
from pathlib import Path
def serve(number=0, stop=None):
    while not (stop and stop.exists()):
        number += 1
        print(number, 1000 + (number - 1) % 32, flush=True)
        time.sleep(0.01)
    stop.write_text(str(number))
if __name__ == "__main__":
    if "--save" in sys.argv:
        Path(sys.argv[1], "weights").touch()
        print(1100048384)
    else:
        serve()
"""
# runsc's calls: run, checkpoint, restore and delete. A file named after a call makes it fail. The
# list of calls has the words, after what the file shmem_enabled has.
RUNSC = """#!{python}
import os, signal, sys, time
from pathlib import Path
here = Path(__file__).parent
sys.path.insert(0, str(here))
import model
words, name = sys.argv[1:], sys.argv[-1]
with (here / "calls").open("a") as calls:
    setting = here / "shmem_enabled"
    print(*([setting.read_text()] if setting.exists() else []), *words, file=calls)
(call,) = [word for word in words if word in ("run", "checkpoint", "restore", "delete")]
if (here / call).exists():
    sys.exit((here / call).read_text())
pid, stop = here / (name + ".pid"), here / (name + ".stop")
values = dict(word.partition("=")[::2] for word in words)
image = Path(values["--image-path"]) if "--image-path" in values else None
if call == "restore" and "--debug-log" in values:
    now = time.time_ns()
    events = [
        "mid Restore = cm.Restore RPC",
        "end Restore/PagesFileLoader/async page loading",
        "mid Restore/postRestore = post restore done",
        "end Restore",
    ]
    with Path(values["--debug-log"], name + ".boot").open("w") as log:
        for event in events:
            print("D1 timing.go:873] Timer for Restore: time", now, "07:05", event, file=log)
if call in ("run", "restore"):
    pid.write_text(str(os.getpid()))
    model.serve(int((image / "number").read_text()) if image else 0, stop)
    sys.exit()
number = int(pid.read_text())
if call == "checkpoint":
    stop.touch()
    while not stop.read_text():
        time.sleep(0.01)
    stop.replace(image / "number")
    (image / "pages.img").write_bytes(bytes(1 << 20))
elif Path("/proc", str(number)).exists():
    os.kill(number, signal.SIGKILL)
"""


@dataclass(frozen=True)
class FakePlace:
    """A place with the stand-in."""

    folder: Path
    name: str = "a test"
    host: str = ""
    clean_root: str = "/run/rootfs"
    flags: tuple[str, ...] = ()
    user: int = 0

    @property
    def runsc(self) -> str:
        """The path of the stand-in."""
        return f"{self.folder}/runsc"

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return the command as it is."""
        return [*command]

    @property
    def calls(self) -> list[str]:
        """The arguments of each call."""
        return (self.folder / "calls").read_text().splitlines()

    def fail(self, call: str, message: str) -> None:
        """Make a call of runsc fail from now on."""
        (self.folder / call).write_text(message)


def make(folder: Path) -> FakePlace:
    """Write the stand-in and the model's program into an empty folder."""
    (folder / "runsc").write_text(RUNSC.format(python=sys.executable))
    (folder / "runsc").chmod(0o755)
    (folder / "model.py").write_text(MODEL)
    return FakePlace(folder)
