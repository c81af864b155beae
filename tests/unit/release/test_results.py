"""A release accepts only complete, unedited results of the image that it publishes."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import handover
from tests.support.handover import CHECKS, SUBJECT, Report, subject
from worker_images.errors import PolicyError, UsageError
from worker_images.model import seal, suite
from worker_images.model.results import FAILED, NOT_RUN, PASSED
from worker_images.release import results, tested
from worker_images.release.results import Subject

SKIPPED = "not run: no NVIDIA driver"
OTHER = f"sha256:{'9' * 64}"


def gather(root: Path, *folders: Path) -> tested.Tested:
    """Gather the results of the one subject."""
    (found,) = results.gather(root, [subject(root)], folders)
    return found


def outcomes(found: tested.Tested, layer: str) -> tuple[int, ...]:
    """The numbers of checks that passed, failed and did not run."""
    results_of = found.layer(layer)
    assert results_of
    return tuple(results_of.count(each) for each in (PASSED, FAILED, NOT_RUN))


def test_results_of_a_node_are_accepted_for_the_same_image(small: Path) -> None:
    Report(reasons={"test_one": SKIPPED}).write(small / "node", small)
    found = gather(small, small / "node")
    assert outcomes(found, "image") == (3, 0, 0)
    assert outcomes(found, "workload") == (2, 0, 1)
    workload = found.layer("workload")
    assert workload
    assert workload.rows[0].reason == "no NVIDIA driver"
    assert workload.at == "2026-11-23 14:37Z"
    assert (found.image_id, found.manifest_digest) == (SUBJECT.image_id, SUBJECT.manifest_digest)


def test_report_without_a_manifest_digest_is_accepted_for_the_image_id(small: Path) -> None:
    Report(properties={"manifest_digest": ""}).write(small / "node", small)
    assert outcomes(gather(small, small / "node"), "workload") == (3, 0, 0)


def test_report_sealed_by_a_kit_is_accepted(small: Path) -> None:
    path = Report().write(small / "node", small)
    seal.write(path, seal.create(small / "out/slim" / seal.KIT_KEY))
    assert outcomes(gather(small, small / "node"), "workload") == (3, 0, 0)


def test_results_of_a_pod_are_accepted_for_the_image_that_it_runs(small: Path) -> None:
    """Its checks are the same for every variant, so their report names none."""
    (small / "tests/pod").mkdir()
    (small / "tests/pod/test_a.py").write_text("# the tests of pod\n")
    Report("pod", properties={"variant": ""}).write(small / "cluster", small)
    assert outcomes(gather(small, small / "cluster"), "pod") == (3, 0, 0)
    Report("pod", properties={"variant": "full"}).write(small / "cluster", small)
    with pytest.raises(PolicyError, match="has the checks of variant full, not of slim"):
        gather(small, small / "cluster")


def test_failed_check_is_a_result(small: Path) -> None:
    Report(failed=("test_one",)).write(small / "node", small)
    found = gather(small, small / "node")
    assert outcomes(found, "workload") == (2, 1, 0)


def test_check_that_is_listed_twice_has_its_worse_result(small: Path) -> None:
    """A check whose teardown fails too has two entries in a JUnit file."""
    path = Report().write(small / "node", small)
    again = '<testcase classname="tests.workload.test_a" name="test_one"><error/></testcase>'
    path.write_text(path.read_text().replace("</testsuite>", f"{again}</testsuite>"))
    seal.write(path, seal.own_key())
    assert outcomes(gather(small, small / "node"), "workload") == (2, 1, 0)


def test_layer_without_results_did_not_run_and_has_a_reason(small: Path) -> None:
    found = gather(small)
    assert {layer.name: (layer.outcome, layer.reason) for layer in found.layers} == {
        "image": (PASSED, ""),
        "pod": (NOT_RUN, "no tests/pod exists"),
        "workload": (NOT_RUN, "no results were passed with --results"),
    }


REFUSED: Mapping[str, tuple[Report, str]] = {
    "no check": (Report(ran=(), collected=()), "0 of 0 checks ran"),
    "-k none": (Report(ran=()), "0 of 3 checks ran"),
    "a check did not run": (
        Report(ran=CHECKS[:2]),
        "2 of 3 checks ran: tests/workload/test_a.py::",
    ),
    "a check was added": (Report(collected=CHECKS[:2]), "3 of 2 checks ran"),
    "only skips": (Report(reasons=dict.fromkeys(CHECKS, SKIPPED)), "has no check that ran"),
    "a skip without a reason": (Report(reasons={"test_one": "later"}), "skipped without a reason"),
    "no list of checks": (Report(properties={"checks": ""}), "3 of 0 checks ran"),
    "another image": (Report(subject=replace(SUBJECT, image_id=OTHER)), f"of image {OTHER}; to"),
    "no image": (Report(properties={"image_id": ""}), "has results of image unknown"),
    "another manifest": (
        Report(subject=replace(SUBJECT, manifest_digest=OTHER)),
        f"has results of manifest {OTHER}, not of {SUBJECT.manifest_digest}",
    ),
    "checks of another variant": (
        Report(properties={"variant": "full"}),
        "has the checks of variant full, not of slim",
    ),
    "no variant": (Report(properties={"variant": ""}), "the checks of variant unknown"),
    "another suite": (Report(properties={"suite": "abc"}), "comes from suite abc of"),
    "some checks selected": (Report(properties={"suite": ""}), "only some checks of"),
    "checks of another layer": (
        Report(module="tests.image.test_a"),
        "has checks of another layer than workload: tests/image/test_a.py",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_report_that_proves_too_little_is_refused(name: str, small: Path) -> None:
    report, message = REFUSED[name]
    path = report.write(small / "node", small)
    with pytest.raises(PolicyError, match=f"^{path}: .*{re.escape(message)}"):
        gather(small, small / "node")


@pytest.mark.parametrize("name", REFUSED)
def test_report_of_the_image_layer_that_proves_too_little_is_refused(
    name: str, small: Path
) -> None:
    report, message = REFUSED[name]
    module = "tests.workload.test_a" if report.module else ""
    path = replace(report, layer="image", module=module).write(small / "out/slim", small)
    expected = re.escape(message.partition("workload")[0])
    with pytest.raises(PolicyError, match=f"^{path}: .*{expected}"):
        results.gather(small, [replace(SUBJECT, report=path)], [])


def test_results_of_two_variants_are_assigned_by_image(small: Path) -> None:
    full = replace(SUBJECT, variant="full", image_id=OTHER)
    Report(failed=("test_one",)).write(small / "a", small)
    Report(subject=full).write(small / "b", small)
    subjects = [subject(small), subject(small, Report("image", subject=full))]
    slim, other = results.gather(small, subjects, [small / "b", small / "a", small / "a"])
    assert (slim.variant, outcomes(slim, "workload")) == ("slim", (2, 1, 0))
    assert (other.variant, outcomes(other, "workload")) == ("full", (3, 0, 0))


def test_image_report_of_another_variant_is_refused(small: Path) -> None:
    full = replace(SUBJECT, variant="full", image_id=OTHER)
    slim, other = subject(small), subject(small, Report("image", subject=full))
    swapped = [replace(slim, report=other.report), replace(other, report=slim.report)]
    with pytest.raises(PolicyError, match="has results of image"):
        results.gather(small, swapped, [])


def test_two_results_of_a_layer_are_refused(small: Path) -> None:
    Report(failed=("test_one",)).write(small / "a", small)
    Report().write(small / "b", small)
    with pytest.raises(
        PolicyError, match=r"a/workload\.xml also has results of tests/workload for"
    ):
        gather(small, small / "a", small / "b")


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_folder_without_results_is_refused(name: str, small: Path) -> None:
    folder = small / name
    if name != "missing":
        folder.mkdir()
    with pytest.raises(UsageError, match=f"{name}: contains none of image.xml, pod.xml"):
        gather(small, folder)


PARTIAL = Report("image", reasons=dict.fromkeys(CHECKS[:2], "not run: no arm64 machine"))


def test_image_results_of_another_machine_replace_the_own_ones(small: Path) -> None:
    """More checks run on a machine of the image's architecture."""
    own = subject(small, PARTIAL)
    (found,) = results.gather(small, [own], [])
    assert outcomes(found, "image") == (1, 0, 2)
    Report("image").write(small / "arm64", small)
    (found,) = results.gather(small, [own], [small / "arm64"])
    assert outcomes(found, "image") == (3, 0, 0)


def test_failed_check_of_this_machine_is_not_replaced(small: Path) -> None:
    own = subject(small, Report("image", failed=("test_one",)))
    Report("image").write(small / "arm64", small)
    (found,) = results.gather(small, [own], [small / "arm64"])
    assert outcomes(found, "image") == (2, 1, 0)


def test_failed_check_of_another_machine_is_a_result(small: Path) -> None:
    Report("image", failed=("test_two[x]",)).write(small / "arm64", small)
    assert outcomes(gather(small, small / "arm64"), "image") == (2, 1, 0)


def test_two_image_results_of_other_machines_are_refused(small: Path) -> None:
    for folder in ("a", "b"):
        PARTIAL.write(small / folder, small)
    with pytest.raises(PolicyError, match=r"a/image\.xml also has results of tests/image for"):
        gather(small, small / "a", small / "b")


def test_seal_of_another_machine_counts_with_its_key_alone(small: Path) -> None:
    path, key = Report("image").write(small / "arm64", small), small / "arm64.key"
    seal.write(path, seal.create(key))
    own = subject(small)
    with pytest.raises(PolicyError, match=f"{path}: the seal image.xml.seal does not match"):
        results.gather(small, [own], [small / "arm64"])
    (found,) = results.gather(small, [own], [small / "arm64"], [key])
    assert outcomes(found, "image") == (3, 0, 0)


def test_missing_report_of_the_image_layer_is_refused(small: Path) -> None:
    gone: Subject = replace(SUBJECT, report=small / "image.xml")
    with pytest.raises(
        PolicyError, match=r"No such file .*; run: ./build.py test image --variant slim"
    ):
        results.gather(small, [gone], [])


def test_report_is_refused_after_a_change_of_the_tests(small: Path) -> None:
    Report().write(small / "node", small)
    assert gather(small, small / "node").layer("workload")
    (small / "tests/workload/test_b.py").write_text("def test_more(): pass\n")
    with pytest.raises(PolicyError, match=r"comes from suite .* with this checkout"):
        gather(small, small / "node")


def test_layer_that_the_checkout_lacks_is_refused(small: Path) -> None:
    report = Report("pod", properties={"suite": "abc"})
    report.write(small / "node", small)
    with pytest.raises(PolicyError, match=r"comes from suite abc of tests/pod, .* has none"):
        gather(small, small / "node")


def test_small_checkout_has_the_suites_of_its_layers(small: Path) -> None:
    """The control of the tests above."""
    found = {suite.digest(small, layer) for layer in handover.LAYERS}
    assert len(found) == 2
    assert "" not in found
