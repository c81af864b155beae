"""Results of a release name the machine with the GPU that they come from."""

from pathlib import Path

from tests.support.handover import Report, subject
from worker_images.release import results, tested


def gather(root: Path, *folders: Path) -> tested.Tested:
    """Gather the results of the one subject."""
    (found,) = results.gather(root, [subject(root)], folders)
    return found


def test_results_name_the_machine_that_they_come_from(small: Path) -> None:
    """verify-release shows it; results without a GPU name none."""
    machine = "2 NVIDIA H100 80GB HBM3, driver 580.159.04, in a pod"
    Report(properties={"machine": machine}).write(small / "node", small)
    found = gather(small, small / "node")
    workload, image = found.layer("workload"), found.layer("image")
    assert workload
    assert image
    assert workload.text == f"workload: 3 passed, 0 failed, 0 not run ({machine})"
    assert workload.counts["machine"] == machine
    assert image.text == "image: 3 passed, 0 failed, 0 not run"
    assert tested.read(tested.predicate(found)) == found


def test_results_without_a_machine_are_read(small: Path) -> None:
    """Releases that were published before have no such member."""
    found = tested.predicate(gather(small))
    for layer in found["worker_images"]["layers"]:
        del layer["machine"]
    assert tested.read(found) == gather(small)
