"""A small image, built, loaded, run, named and pushed on every engine."""

import shutil
import subprocess
from pathlib import Path

import dockerfile
import pytest

from tests.engines import miniature
from tests.engines.foreign import registered
from tests.engines.miniature import Miniature
from tests.engines.suite import Parts
from worker_images.engine.endpoint import Endpoint
from worker_images.engine.push import push
from worker_images.errors import ImageBuildError
from worker_images.files import ROOT

# Stores that keep a manifest as it was loaded.
KEEPS_MANIFESTS = ("docker", "buildkit")


def kinds(path: Path) -> set[tuple[str, tuple[str, ...]]]:
    """Each kind of step: its instruction with the names of its options."""
    steps = dockerfile.parse_file(str(path))
    rows = [(step.cmd.lower(), {flag.partition("=")[0] for flag in step.flags}) for step in steps]
    return {(name, tuple(sorted(flags))) for name, flags in rows}


def test_miniature_has_every_kind_of_step_of_slim() -> None:
    """The miniature image is built by the kinds of steps that slim is built by."""
    assert kinds(ROOT / "images/slim/Dockerfile.worker") <= kinds(miniature.DOCKERFILE)


def test_image_id_is_equal_on_every_engine(image: Miniature, at_home: Miniature) -> None:
    """The image ID is the same, whichever engine built the image."""
    assert image.image_id == at_home.image_id


def test_image_id_differs_when_an_input_differs(
    elsewhere: Endpoint, context: Path, at_home: Miniature, parts: Parts, tmp_path: Path
) -> None:
    """The control of the test above: another input gives another image ID on every engine."""
    changed = tmp_path / "changed"
    shutil.copytree(context, changed)
    (changed / "table.json").write_text('{"rows": [1]}\n')
    built = miniature.built(elsewhere, changed, tmp_path / "changed.tar", parts.epoch)
    assert built.image_id != at_home.image_id


def test_image_is_held_under_an_id_of_its_archive_when_loaded(
    elsewhere: Endpoint, image: Miniature, loaded: str
) -> None:
    """An engine names a loaded image by its image ID or by its manifest digest."""
    assert loaded in {image.image_id, image.manifest}
    assert elsewhere.images.holds(loaded)
    assert loaded in elsewhere.images.identities()


def test_container_of_the_image_runs_its_program(elsewhere: Endpoint, loaded: str) -> None:
    """A container of the harness starts, runs a program of the image, and is removed."""
    with elsewhere.images.container(loaded) as container:
        assert _docker(elsewhere, "exec", container, "part") == miniature.SAYS
        assert container in _docker(elsewhere, "ps", "--all", "--quiet", "--no-trunc")
    assert container not in _docker(elsewhere, "ps", "--all", "--quiet", "--no-trunc")


def test_tag_names_the_image(elsewhere: Endpoint, loaded: str) -> None:
    """A name that is given to the image is the image's in the engine."""
    elsewhere.images.tag(loaded, "engines/miniature:1")
    assert (
        _docker(elsewhere, "image", "inspect", "--format", "{{.Id}}", "engines/miniature:1")
        == loaded
    )


def test_saved_image_is_the_loaded_one(elsewhere: Endpoint, loaded: str, tmp_path: Path) -> None:
    """An image that is named instead of an archive is saved under the same id."""
    elsewhere.images.tag(loaded, "engines/saved:1")
    assert elsewhere.images.save("engines/saved:1", tmp_path / "saved.tar") == loaded


def test_push_leaves_the_tested_digest_or_no_tag(
    elsewhere: Endpoint,
    image: Miniature,
    loaded: str,
    registry: str,
    request: pytest.FixtureRequest,
) -> None:
    """A registry gets the tested manifest from stores that keep it, and nothing from the others."""
    pair = request.node.callspec.params["elsewhere"]
    reference = f"{registry}/miniature/{pair}:1"
    elsewhere.images.tag(loaded, reference)
    if pair in KEEPS_MANIFESTS:
        push(elsewhere.address, reference, image.manifest)
        assert registered(registry, f"miniature/{pair}", "1") == image.manifest
    else:
        with pytest.raises(ImageBuildError, match="another manifest"):
            push(elsewhere.address, reference, image.manifest)
        assert registered(registry, f"miniature/{pair}", "1") is None


@pytest.mark.parametrize("elsewhere", KEEPS_MANIFESTS, indirect=True)
def test_push_to_a_tag_of_another_image_is_refused(
    elsewhere: Endpoint, image: Miniature, loaded: str, registry: str, tmp_path: Path
) -> None:
    """A registry's tag that names another image stays; the same image may be pushed again."""
    name = f"taken/{tmp_path.name}"
    taken = f"{registry}/{name}:1"
    elsewhere.images.tag(loaded, taken)
    for _ in range(2):
        push(elsewhere.address, taken, image.manifest)
    with pytest.raises(ImageBuildError, match="another image"):
        push(elsewhere.address, taken, f"sha256:{'0' * 64}")
    assert registered(registry, name, "1") == image.manifest


def _docker(endpoint: Endpoint, *arguments: str) -> str:
    result = subprocess.run(
        [endpoint.docker, *arguments],
        env=endpoint.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
