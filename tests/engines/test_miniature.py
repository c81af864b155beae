"""A small image is built, loaded, run, tagged and pushed on every engine."""

import shutil
from pathlib import Path

import dockerfile
import pytest

from tests.engines import miniature
from tests.engines.engines import manifest_digest
from tests.engines.miniature import Miniature
from tests.support import commands
from worker_images.build.go_programs import Parts
from worker_images.engine.endpoint import Endpoint
from worker_images.engine.push import push
from worker_images.errors import ImageBuildError
from worker_images.files import ROOT

# Engines whose image store keeps a loaded manifest unchanged.
KEEPS_MANIFESTS = ("docker", "buildkit")


def kinds(path: Path) -> set[tuple[str, tuple[str, ...]]]:
    """Return each kind of step: the instruction and the names of its options."""
    steps = dockerfile.parse_file(str(path))
    rows = [(step.cmd.lower(), {flag.partition("=")[0] for flag in step.flags}) for step in steps]
    return {(name, tuple(sorted(flags))) for name, flags in rows}


def test_miniature_has_every_kind_of_step_of_slim() -> None:
    """The miniature image has every kind of build step that slim has."""
    assert kinds(ROOT / "images/slim/Dockerfile.worker") <= kinds(miniature.DOCKERFILE)


def test_image_id_is_equal_on_every_engine(image: Miniature, reference_image: Miniature) -> None:
    """Every engine builds the same image ID."""
    assert image.image_id == reference_image.image_id


def test_image_id_differs_when_an_input_differs(
    other_endpoint: Endpoint,
    context: Path,
    reference_image: Miniature,
    parts: Parts,
    tmp_path: Path,
) -> None:
    """The control of the test above: a changed input changes the image ID."""
    changed = tmp_path / "changed"
    shutil.copytree(context, changed)
    (changed / "table.json").write_text('{"rows": [1]}\n')
    built = miniature.build(other_endpoint, changed, tmp_path / "changed.tar", parts.epoch)
    assert built.image_id != reference_image.image_id


def test_loaded_image_is_identified_by_a_digest_of_its_archive(
    other_endpoint: Endpoint, image: Miniature, loaded: str
) -> None:
    """An engine identifies a loaded image by its image ID or its manifest digest."""
    assert loaded in {image.image_id, image.manifest}
    assert other_endpoint.images.holds(loaded)
    assert loaded in other_endpoint.images.identities()


def test_container_of_the_image_runs_its_program(other_endpoint: Endpoint, loaded: str) -> None:
    """A container of the harness starts, runs a program of the image and is removed."""
    with other_endpoint.images.container(loaded) as container:
        assert _docker(other_endpoint, "exec", container, "part") == miniature.OUTPUT
        assert container in _docker(other_endpoint, "ps", "--all", "--quiet", "--no-trunc")
    assert container not in _docker(other_endpoint, "ps", "--all", "--quiet", "--no-trunc")


def test_tag_names_the_image(other_endpoint: Endpoint, loaded: str) -> None:
    """A new tag refers to the image."""
    other_endpoint.images.tag(loaded, "engines/miniature:1")
    assert (
        _docker(other_endpoint, "image", "inspect", "--format", "{{.Id}}", "engines/miniature:1")
        == loaded
    )


def test_saved_image_is_the_loaded_one(
    other_endpoint: Endpoint, loaded: str, tmp_path: Path
) -> None:
    """An image saved by its name has the same ID."""
    other_endpoint.images.tag(loaded, "engines/saved:1")
    assert other_endpoint.images.save("engines/saved:1", tmp_path / "saved.tar") == loaded


def test_push_leaves_the_tested_digest_or_no_tag(
    other_endpoint: Endpoint,
    image: Miniature,
    loaded: str,
    registry: str,
    request: pytest.FixtureRequest,
) -> None:
    """Stores that keep the tested manifest push it; other stores push nothing."""
    pair = request.node.callspec.params["other_endpoint"]
    reference = f"{registry}/miniature/{pair}:1"
    other_endpoint.images.tag(loaded, reference)
    if pair in KEEPS_MANIFESTS:
        push(other_endpoint.address, reference, image.manifest)
        assert manifest_digest(registry, f"miniature/{pair}", "1") == image.manifest
    else:
        with pytest.raises(ImageBuildError, match="another manifest"):
            push(other_endpoint.address, reference, image.manifest)
        assert manifest_digest(registry, f"miniature/{pair}", "1") is None


@pytest.mark.parametrize("other_endpoint", KEEPS_MANIFESTS, indirect=True)
def test_push_to_a_tag_of_another_image_is_refused(
    other_endpoint: Endpoint, image: Miniature, loaded: str, registry: str, tmp_path: Path
) -> None:
    """A tag of another image is not moved; the same image can be pushed again."""
    name = f"taken/{tmp_path.name}"
    taken = f"{registry}/{name}:1"
    other_endpoint.images.tag(loaded, taken)
    for _ in range(2):
        push(other_endpoint.address, taken, image.manifest)
    with pytest.raises(ImageBuildError, match="another image"):
        push(other_endpoint.address, taken, f"sha256:{'0' * 64}")
    assert manifest_digest(registry, name, "1") == image.manifest


def _docker(endpoint: Endpoint, *arguments: str) -> str:
    result = commands.run([endpoint.docker, *arguments], env=endpoint.environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
