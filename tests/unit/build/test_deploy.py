"""The generated parts of deploy/ follow the table of drivers and the records of builds."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.support.records import RECORD
from worker_images.build import deploy, generated
from worker_images.errors import DriftError
from worker_images.files import ROOT
from worker_images.model.drivers.table import Release, Table
from worker_images.model.project import Project, load

DIGEST = f"sha256:{'0' * 64}"
KUSTOMIZATION = "deploy/slim/kustomization.yaml"


def test_affinity_lists_the_drivers_that_the_release_serves(project: Project) -> None:
    served = Table((Release(project.release, ("535.129.03", "620.06.00"), ("595.71.05",)),))
    (text,) = deploy.drivers(replace(project, table=served)).values()
    affinity = yaml.safe_load(text)["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (terms,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (rule,) = terms["matchExpressions"]
    assert rule == {
        "key": "nvidia.com/cuda.driver-version.full",
        "operator": "In",
        "values": ["535.129.03", "620.06.00", "620.06"],
    }


def test_affinity_without_a_driver_of_the_image_is_drift(checkout: Path) -> None:
    generated.write(load(checkout))
    path = checkout / deploy.DRIVERS
    path.write_text(path.read_text().replace('                - "580.159.04"\n', ""))
    with pytest.raises(DriftError, match=rf"^{deploy.DRIVERS}: out of date .*build\.py render"):
        generated.write(load(checkout), check=True)
    assert generated.write(load(checkout)) == (deploy.DRIVERS,)
    assert path.read_text() == (ROOT / deploy.DRIVERS).read_text()


def test_digest_of_the_record_replaces_the_old_one(checkout: Path) -> None:
    path = checkout / KUSTOMIZATION
    path.write_text(path.read_text().replace("registry.example.com", "registry.of.mine"))
    before = path.read_text()
    record = replace(RECORD, variant="slim", manifest_digest=DIGEST)
    found = deploy.digests(checkout, [record])
    assert [*found] == [path]
    old, new = before.splitlines(), found[path].splitlines()
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert [b for _, b in changed] == [f"  digest: {DIGEST}"]


def test_variant_without_manifests_has_no_digest(checkout: Path) -> None:
    assert deploy.digests(checkout, [replace(RECORD, variant="other")]) == {}


@pytest.mark.parametrize("lines", ["", "  digest: a\n  digest: b\n"])
def test_kustomization_without_one_digest_is_refused(lines: str, checkout: Path) -> None:
    (checkout / KUSTOMIZATION).write_text(f"images:\n- name: worker\n{lines}")
    count = lines.count("digest")
    with pytest.raises(DriftError, match=rf"^{KUSTOMIZATION}: {count} lines with a digest; write"):
        deploy.digests(checkout, [replace(RECORD, variant="slim")])
