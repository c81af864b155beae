"""Engines and builders: which can build, and which can push."""

import pytest

from tests.support import engines
from worker_images.engine import builder
from worker_images.engine.builder import Builder
from worker_images.engine.daemon import Address
from worker_images.engine.endpoint import Endpoint
from worker_images.engine.sdk import Daemon
from worker_images.errors import EngineError

OWN = Builder("default", "docker", "v0.20.0")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("26.1.5+dfsg1", (26, 1, 5)),
        ("v0.13.2", (0, 13, 2)),
        ("28.5", (28, 5, 0)),
        ("dev", ()),
        ("v0.0.0+unknown", ()),
        ("unknown", ()),
        ("", ()),
    ],
)
def test_numbers_of_a_version_are_read(text: str, found: tuple[int, ...]) -> None:
    assert builder.numbers(text) == found


def test_docker_with_the_classic_store_is_refused_with_both_fixes() -> None:
    classic = Daemon("Docker", "28.5.2", containerd_store=False)
    with pytest.raises(
        EngineError, match=r"classic image store.*containerd-snapshotter.*docker buildx create"
    ):
        builder.check_daemon(classic, OWN)


@pytest.mark.parametrize(
    ("version", "buildkit"),
    [("25.0.5", "v0.0.0+unknown"), ("26.1.0", "v0.13.1"), ("dev", "v0.12.5")],
)
def test_old_docker_is_refused(version: str, buildkit: str) -> None:
    with pytest.raises(EngineError, match="is too old"):
        builder.check_daemon(
            Daemon("Docker", version, containerd_store=True), Builder("default", "docker", buildkit)
        )


@pytest.mark.parametrize(
    ("version", "buildkit", "warnings"),
    [("26.1.5+dfsg1", "v0.0.0+unknown", 0), ("dev", "v0.20.2", 0), ("dev", "dev", 1)],
)
def test_docker_without_comparable_version_is_a_warning(
    version: str, buildkit: str, warnings: int
) -> None:
    found = builder.check_daemon(
        Daemon("Docker", version, containerd_store=True), Builder("default", "docker", buildkit)
    )
    assert len(found) == warnings


@pytest.mark.parametrize(
    ("version", "passes"),
    [("v0.12.5", False), ("v0.13.1", False), ("v0.13.2", True), ("v0.34.2", True)],
)
def test_builder_is_refused_below_buildkit_0_13_2(version: str, *, passes: bool) -> None:
    found = builder.builder_of(
        "Name: worker\nDriver: docker-container\n\nNodes:\nName: worker0\nBuildKit version:"
        f" {version}\n"
    )
    assert found == Builder("worker", "docker-container", version)
    if passes:
        assert builder.check_buildkit(found) == ()
        return
    with pytest.raises(
        EngineError, match=rf"builder worker .*{version}.* is too old; needs BuildKit 0\.13\.2"
    ):
        builder.check_buildkit(found)


def test_builder_without_comparable_version_is_a_warning() -> None:
    (warning,) = builder.check_buildkit(Builder("worker", "remote", "v0.0.0+unknown"))
    assert "builder worker (remote driver, BuildKit v0.0.0+unknown)" in warning


def engine_of(found: engines.Engine, inspected: str, name: str | None = None) -> Endpoint:
    """An engine whose `buildx inspect` prints a text."""
    return Endpoint(Address(found.host), ("sh", "-c", f"printf '{inspected}'"), "docker", name)


# The output of buildx 0.29 for Podman's socket, in which it expects to start BuildKit.
INSPECTED_PODMAN = "Name: default\\nDriver: docker-container\\nStatus: inactive\\n"


def test_podman_without_a_builder_is_refused_with_a_fix(loopback: engines.Engine) -> None:
    loopback.is_a(engines.PODMAN, engines.CLASSIC)
    with pytest.raises(
        EngineError, match=r"Podman 5\.8\.6 at .* has no BuildKit .*--builder worker"
    ):
        builder.buildable(engine_of(loopback, INSPECTED_PODMAN))


def test_podman_with_a_builder_can_build_but_not_push(loopback: engines.Engine) -> None:
    loopback.is_a(engines.PODMAN, engines.CLASSIC)
    found = builder.buildable(
        engine_of(
            loopback, "Name: worker\\nDriver: remote\\nBuildKit version: v0.34.2\\n", "worker"
        )
    )
    assert (
        str(found)
        == "Podman 5.8.6, Podman's image store, builder worker (remote driver, BuildKit v0.34.2)"
    )
    with pytest.raises(
        EngineError, match=r"--push: Podman 5\.8\.6 .*skopeo copy oci-archive:out/slim/image\.tar"
    ):
        builder.check_push(found, "slim")


def test_classic_store_with_a_builder_can_build_but_not_push(loopback: engines.Engine) -> None:
    loopback.is_a(engines.DOCKER, engines.CLASSIC)
    found = builder.buildable(
        engine_of(
            loopback, "Name: worker\\nDriver: remote\\nBuildKit version: v0.34.2\\n", "worker"
        )
    )
    with pytest.raises(EngineError, match=r"--push: Docker 28\.5\.2"):
        builder.check_push(found, "slim")


def test_containerd_store_can_push(loopback: engines.Engine) -> None:
    """The control of the two tests above."""
    found = builder.buildable(
        engine_of(loopback, "Name: default\\nDriver: docker\\nBuildKit version: v0.20.0\\n")
    )
    assert builder.check_push(found, "slim") is None  # type: ignore[func-returns-value]


def test_builder_of_another_context_is_refused_with_a_fix(loopback: engines.Engine) -> None:
    inspected = "Name: team\\nDriver: docker\\nBuildKit version: v0.20.0\\n"
    with pytest.raises(
        EngineError,
        match="builder team is the engine of another docker context; set DOCKER_CONTEXT=team",
    ):
        builder.buildable(engine_of(loopback, inspected, "team"))


def test_platform_that_the_builder_lacks_is_refused_with_both_fixes() -> None:
    text = "Name: default\nDriver: docker\nPlatforms: linux/amd64*, linux/amd64/v2, linux/386\n"
    endpoint = Endpoint(Address("unix:///none"), ("buildx",), "docker")
    daemon = Daemon("Docker", "28.5.2", containerd_store=True)
    engine = builder.Engine(endpoint, daemon, builder.builder_of(text))
    builder.check_platform(engine, "amd64")
    with pytest.raises(EngineError, match=r"programs of arm64.*binfmt.*--builder"):
        builder.check_platform(engine, "arm64")
