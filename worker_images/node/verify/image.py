"""The checklist's rows for the image: its runsc, asked in the image."""

import re

from worker_images.node import cause
from worker_images.node.place import Answer
from worker_images.node.verify.rows import (
    ABSENT,
    FAILED,
    NOT_ASKED,
    PASSED,
    RIGHT,
    WRONG,
    Finding,
    Row,
    Scene,
    explained,
    last_line,
    served,
)

CHECKLIST, MISCONCEPTIONS = "Verification Checklist: Worker Image", "Common Misconceptions"
STAMP = re.compile(r"^runsc version release-(\d{8}\.\d+)(\S*)\n", re.MULTILINE)
NO_NVPROXY = "this runsc knows no nvproxy: it is older than 20230529.0"
BOOT = "runsc --rootless --network=none --ignore-cgroups do cat /proc/version"
TAKE = "take another gvisor.version, and build the image again"


def release(scene: Scene, said: Answer) -> Finding:
    """The stamp, and that the drivers are those of the release it names, or of the next where
    commits follow it.
    """
    stamp = STAMP.search(said.output)
    if not stamp:
        return Finding(
            FAILED, last_line(said.output + said.errors), "no stamp of a gVisor release", TAKE
        )
    known = [each.name for each in scene.table]
    if stamp[1] not in known:
        step = (
            "look at the stamp; a newer release is to be added to"
            " images/components/gvisor/drivers.json"
        )
        return Finding(
            FAILED,
            f"release-{stamp[1]}{stamp[2]}",
            "no release of that name is known, so its drivers are not compared",
            step,
        )
    place = known.index(stamp[1])
    due = [set(each.supported) for each in scene.table.releases[place : place + 1 + bool(stamp[2])]]
    found = served(said.output)
    if set(found) not in due:
        return Finding(
            FAILED,
            f"release-{stamp[1]}{stamp[2]}, {len(found)} drivers",
            "its drivers are not those of the release in its stamp",
            TAKE,
        )
    return Finding(
        PASSED, f"release-{stamp[1]}{stamp[2]}, with that release's {len(found)} drivers"
    )


def flag(_: Scene, said: Answer) -> Finding:
    """The flag's own line."""
    if said.status:
        return Finding(FAILED, "no line -nvproxy", NO_NVPROXY, TAKE)
    return Finding(PASSED, said.output.strip())


def accepted(_: Scene, said: Answer) -> Finding:
    """The flag is taken, and one that nobody knows is not."""
    found = " ".join(said.output.split())
    if found != "nvproxy: 0 no-such-flag: 2":
        return Finding(
            FAILED,
            found,
            (
                NO_NVPROXY
                if "no-such-flag: 2" in found
                else "this runsc is missing, or takes any flag"
            ),
            TAKE,
        )
    return Finding(PASSED, found)


def drivers(scene: Scene, said: Answer) -> Finding:
    """Each of the nodes' drivers is in runsc's list."""
    if not scene.drivers:
        return Finding(NOT_ASKED, "", step="--driver VERSION, or --node on a GPU node")
    known = served(said.output)
    missing = [driver for driver in scene.drivers if driver not in known]
    if missing:
        steps = "; ".join(cause.serving(driver, scene.table) for driver in missing)
        words = f"a sandbox on a node with {', '.join(missing)} ends with EOF"
        return Finding(FAILED, f"{', '.join(missing)} not among {len(known)}", words, steps)
    return Finding(PASSED, f"{', '.join(scene.drivers)} among {len(known)}")


def boots(scene: Scene, said: Answer) -> Finding:
    """gVisor's kernel answers."""
    if said.status or "gvisor" not in said.output:
        return Finding(
            FAILED,
            last_line(said.errors + said.output),
            *explained(f"{said.output}\n{said.errors}", scene),
        )
    return Finding(PASSED, said.output.strip())


ROWS = (
    Row(
        layer="image",
        section=CHECKLIST,
        note="docker run <worker-image> runsc --version",
        worth=RIGHT,
        reason="but it proves a stamp, which a build can set to anything",
        check="runsc is the release that it says",
        expected="runsc version release-…, and the drivers of that release",
        judge=release,
        command="runsc --version && runsc nvproxy list-supported-drivers",
        own="runsc --version",
    ),
    Row(
        layer="image",
        section=CHECKLIST,
        note="docker run <worker-image> runsc help 2>&1 | grep nvproxy",
        worth=WRONG,
        reason=(
            "help lists commands, not flags: it finds the command nvproxy, and not the flag where"
            " there is only that"
        ),
        check="runsc has the flag -nvproxy",
        expected="one line: -nvproxy",
        judge=flag,
        command="runsc flags 2>&1 | grep -Ex '  -nvproxy'",
        own="runsc help 2>&1 | grep nvproxy",
    ),
    Row(
        layer="image",
        section=MISCONCEPTIONS,
        note="runsc --nvproxy=true",
        worth=RIGHT,
        reason="flags are read first, so one that is not known is refused; a control belongs to it",
        check="runsc accepts --nvproxy, and refuses what it does not know",
        expected="status 0, and 2 for the control",
        judge=accepted,
        command=(
            "for each in nvproxy no-such-flag; do runsc --$each --version >/dev/null 2>&1; echo"
            ' "$each: $?"; done'
        ),
        own="runsc --nvproxy=true --version",
    ),
    Row(
        layer="image",
        section="TL;DR",
        note=(
            "✅ runsc binary with nvproxy support (we have this - version 20250407.0)\n✅ Access to"
            " /dev/nvidia* devices\nThat's it!"
        ),
        worth=WRONG,
        reason=(
            "each runsc serves an exact list of drivers and refuses every other; the note does not"
            " ask which"
        ),
        check="runsc serves the nodes' driver",
        expected="the driver's exact version in runsc's list",
        judge=drivers,
        command="runsc nvproxy list-supported-drivers",
    ),
    Row(
        layer="image",
        section="Answer: No Additional Installation Needed!",
        note="",
        worth=ABSENT,
        reason="the note starts no sandbox before a GPU workload does",
        check="a sandbox boots in the image",
        expected="Linux version … gvisor",
        judge=boots,
        command=BOOT,
    ),
)
