"""Are exactly the tested bytes published? Releases of the real images, as a user runs them."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.registry_proxy import Fault
from tests.support.sites import SLIM, VERSION, Site, kept, manifest
from worker_images.engine.endpoint import Endpoint
from worker_images.files import ROOT
from worker_images.model.oci.files import BLOBS


@pytest.mark.parametrize("variant", ["slim", "full"])
def test_release_publishes_the_tested_manifest(variant: str, site: Site) -> None:
    found = site.verified(f"{site.target}:{VERSION}-{variant}")
    (image,) = found["images"]
    assert image["digest"] == manifest(variant)
    assert site.verified(f"{site.target}:{variant}")["digest"] == found["digest"]


def test_release_that_is_published_changes_nothing(site: Site) -> None:
    """A second run says so and sends nothing; a dry run too."""
    site.proxy.exchanges.clear()
    for words in ((), ("--dry-run",)):
        done = site.release("all", VERSION, *words)
        assert (done.returncode, done.stdout.count("already released")) == (0, 2), done.stderr
    assert site.proxy.lines("^(PUT|POST|PATCH|DELETE)") == []
    assert site.proxy.lines("^GET")


def places(archive: Path, digest: str) -> dict[str, int]:
    """The offset of the middle of each kind of blob in an archive, and of its index."""
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar}
        file = tar.extractfile(BLOBS + digest.removeprefix("sha256:"))
        assert file
        found = json.load(file)
    digests = {"manifest": digest, "config": found["config"]["digest"]}
    digests["layer"] = found["layers"][0]["digest"]
    names = {kind: BLOBS + each.removeprefix("sha256:") for kind, each in digests.items()}
    return {
        kind: members[name].offset_data + members[name].size // 2
        for kind, name in {**names, "index": "index.json"}.items()
    }


@pytest.mark.parametrize("blob", ["manifest", "config", "layer", "index"])
def test_byte_that_changes_after_the_tests_is_refused(blob: str, site: Site) -> None:
    """It changes when the release first asks the registry for its version, before any push."""
    archive, tags = SLIM / "image.tar", site.tags()
    offset = places(archive, manifest("slim"))[blob]

    def change() -> bool:
        with archive.open("r+b") as file:
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ 1]))
        return True

    fault = Fault(f"HEAD .*/manifests/changed-{blob}-slim", change)
    site.proxy.exchanges.clear()
    with kept(archive):
        site.proxy.faults = [fault]
        done = site.release("slim", f"changed-{blob}")
    assert not fault.times
    assert done.returncode == 7, done.stderr
    assert "out/slim/image.tar" in done.stderr
    assert "changed after its tests" in done.stderr
    assert "Traceback" not in done.stderr
    assert site.proxy.lines("^(PUT|POST)") == []
    assert site.tags() == tags


def test_edited_report_is_refused(site: Site) -> None:
    """The seal of the report shows the change; the registry does not change."""
    report, tags = SLIM / "image.xml", site.tags()
    site.proxy.exchanges.clear()
    with kept(report):
        report.write_text(report.read_text() + "<!-- edited -->")
        done = site.release("slim", "edited")
    assert done.returncode == 7, done.stderr
    assert "image.xml" in done.stderr
    assert site.proxy.lines("^(PUT|POST)") == []
    assert site.tags() == tags


def test_changed_image_under_the_local_tag_is_not_released(site: Site, endpoint: Endpoint) -> None:
    """A container was committed as worker:slim; the release has the tested archive."""

    def docker(*words: str) -> str:
        line = [endpoint.docker, *words]
        return subprocess.run(
            line, env=endpoint.environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    own = json.loads((SLIM / "build.json").read_text())["engine_id"]
    container = docker("create", own)
    try:
        docker("commit", "--change", "ENV CHANGED=1", container, "worker:slim")
        done = site.release("slim", "moved")
        assert done.returncode == 0, done.stderr
    finally:
        docker("rm", container)
        docker("tag", own, "worker:slim")
    (image,) = site.verified(f"{site.target}:moved-slim")["images"]
    assert image["digest"] == manifest("slim")


def test_engine_is_not_needed_after_the_tests(
    site: Site, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Its socket is gone from the first write on: nothing is built between test and push."""
    socket = tmp_path / "engine.sock"
    socket.symlink_to(endpoint.host.removeprefix("unix://"))

    def gone() -> bool:
        socket.unlink()
        return True

    fault = Fault("^(POST|PUT)", gone)
    site.proxy.faults = [fault]
    done = site.release("slim", "order", DOCKER_HOST=f"unix://{socket}")
    assert done.returncode == 0, done.stderr
    assert not fault.times
    assert not socket.is_symlink()
    refused = site.release("slim", "order-2", DOCKER_HOST=f"unix://{socket}")
    assert refused.returncode == 4, "the engine is needed before the tests"


def test_archive_of_slim_is_not_released_as_full(site: Site, endpoint: Endpoint) -> None:
    """Slim's archive and record lie in full's folder."""
    full, tags = ROOT / "out/full", site.tags()
    with kept(full / "image.tar", full / "build.json"):
        shutil.copy2(SLIM / "image.tar", full)
        own, other = (json.loads((each / "build.json").read_text()) for each in (full, SLIM))
        record = other | {"variant": "full", "key": own["key"]}
        (full / "build.json").write_text(json.dumps(record))
        done = site.release("full", "swapped")
    tag = [endpoint.docker, "tag", own["engine_id"], "worker:full"]
    subprocess.run(tag, env=endpoint.environment, check=True)
    assert done.returncode in {5, 7}, done.stderr
    assert "Traceback" not in done.stderr
    assert site.tags() == tags
