"""What of a checkpoint can a platform change, and what does a restored program find?

No check here needs a GPU.
"""

import dataclasses
import time
from pathlib import Path

import pytest

from tests.workload.checkpoints import Checkpoints
from tests.workload.sandboxes import Sandboxes, Seen, Wiring
from worker_images.harness.options import not_run
from worker_images.model.drivers.table import Table
from worker_images.node.checkpoint import FAST_COMPRESSION
from worker_images.node.place import Host, PlaceError
from worker_images.node.session import LIMIT_SECONDS, Sandbox

pytestmark = pytest.mark.not_in_a_pod

# Prints numbers forever; the shell keeps the last one.
COUNT = ("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
ENDED = "ended without output: "


@pytest.fixture
def shells(image_sandboxes: Sandboxes) -> Checkpoints:
    """Sandboxes with the image's root, with devices but without a program that uses them."""
    return Checkpoints(image_sandboxes, "")


def refusal(sandbox: Sandbox) -> str:
    """The message of runsc for a checkpoint that it does not restore."""
    with pytest.raises(PlaceError, match=ENDED) as caught:
        sandbox.first_line()
    assert sandbox.status() != 0
    return str(caught.value).partition(ENDED)[2]


def test_restore_under_another_driver_is_refused(
    shells: Checkpoints, wiring: Wiring, drivers: Table, seen: Seen
) -> None:
    """runsc compares the driver with that of the checkpoint; the same driver is the control."""
    driver = wiring.node.driver
    served = next(release for release in drivers.serving(driver)).supported
    other = next(each for each in served if each.partition(".")[0] != driver.partition(".")[0])
    with shells.opened(shells.bundle(*COUNT)) as opened:
        before = int(opened.saved(opened.started()))
        same = opened.session.restore(opened.image())
        assert int(same.first_line()[0]) == before + 1
        flags = [f"--nvproxy-driver-version={other}"]
        message = refusal(opened.session.restore(opened.image(), flags=flags))
    seen(message)
    assert "nvidia driver version changed during restore" in message


def test_restore_by_another_runsc_is_refused(
    shells: Checkpoints, other_runsc: str, image_root: Path, seen: Seen
) -> None:
    """An older release does not take the checkpoint of the image's runsc."""
    host = Host(other_runsc, f"{shells.sandboxes.folder}/host-mounts")
    own = dataclasses.replace(shells.sandboxes, place=host, rootfs=str(image_root), flags=())
    older = Checkpoints(own, "")
    bundle = older.sandboxes.bundle(COUNT, gpus="none")
    with shells.opened(shells.bundle(*COUNT, gpus="none"), "--nvproxy=false") as opened:
        opened.saved(opened.started())
        image = opened.image()
        with older.opened(bundle, "--nvproxy=false") as other:
            assert other.started("3")
            message = refusal(other.session.restore(image))
    seen(message)


def test_restore_with_another_command_is_refused(shells: Checkpoints, seen: Seen) -> None:
    """The bundle is that of the checkpoint; variables and sources of mounts may differ."""
    other = shells.bundle("/bin/sleep", "60")
    same = shells.bundle(*COUNT, edit=lambda found: found["process"]["env"].append("WORD=new"))
    with shells.opened(shells.bundle(*COUNT)) as opened:
        before = int(opened.saved(opened.started()))
        message = refusal(opened.session.restore(opened.image(), bundle=other))
        again = opened.session.restore(opened.image(), bundle=same)
        assert int(again.first_line()[0]) == before + 1
    seen(message)
    assert '"Args" does not match across checkpoint restore' in message


def test_sandbox_with_the_network_of_the_worker_is_not_saved(
    shells: Checkpoints, seen: Seen
) -> None:
    """runsc does not save connections of the machine."""
    bundle = shells.bundle(*COUNT, network="host")
    with shells.opened(bundle, "--network=host") as opened:
        found = opened.save(opened.started())
    seen(found.errors)
    assert found.status != 0
    assert "checkpoint not supported when using hostinet" in found.errors


def test_checkpoint_can_be_compressed(shells: Checkpoints, seen: Seen) -> None:
    """Without compression the memory has a file of its own, which --background needs."""
    sizes = {}
    with shells.opened(shells.bundle(*COUNT)) as opened:
        sandbox = opened.started()
        for name, options in (("none", {}), ("fast", {"compression": FAST_COMPRESSION})):
            found = opened.save(sandbox, name, options=["--leave-running"], **options)
            assert found.status == 0, found.errors
            assert opened.session.restore(opened.image(name), ["--background"]).first_line()
            files = sorted(opened.image(name).iterdir())
            sizes[name] = {path.name: path.stat().st_size for path in files}
    seen(str(sizes))
    assert {*sizes["none"]} == {"checkpoint.img", "pages.img", "pages_meta.img"}
    assert {*sizes["fast"]} == {"checkpoint.img"}


def test_output_file_of_a_restored_program_begins_with_zeros(
    shells: Checkpoints, pytestconfig: pytest.Config, seen: Seen
) -> None:
    """The program goes on at its old offset; with a pipe nothing is lost."""
    if pytestconfig.getoption("place") != "unpacked":
        not_run(pytestconfig, "workload", "an engine gives runsc pipes")
    with shells.opened(shells.bundle(*COUNT)) as opened:
        first, second = opened.bundle / "first", opened.bundle / "second"
        with first.open("wb") as output:
            sandbox = opened.session.start(output)
            wait_for(first, b"20\n")
        found = opened.save(sandbox)
        assert found.status == 0, found.errors
        offset = first.stat().st_size
        with second.open("wb") as output:
            opened.session.restore(opened.image(), output=output)
            wait_for(second, b"\n")
    content = second.read_bytes()
    seen(f"{offset} zeros, then {content[offset:][:10]!r}")
    assert content[:offset] == bytes(offset)
    assert content[offset:]


def wait_for(path: Path, text: bytes) -> None:
    """Read a file until it has a text; fails after a time."""
    end = time.monotonic() + LIMIT_SECONDS
    while text not in path.read_bytes():
        assert time.monotonic() < end, f"{text!r} did not come; the file has {path.read_bytes()!r}"
        time.sleep(0.05)
