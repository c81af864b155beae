"""Engines: which one is found, what it is, whether it can build, and what it is told to push."""

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
def test_version_numbers_are_read_where_there_are_any(text: str, found: tuple[int, ...]) -> None:
    assert builder.numbers(text) == found


def test_docker_with_the_classic_store_is_refused_with_both_remedies() -> None:
    classic = Daemon("Docker", "28.5.2", containerd_store=False)
    with pytest.raises(
        EngineError, match=r"classic image store.*containerd-snapshotter.*docker buildx create"
    ):
        builder.check_daemon(classic, OWN)


@pytest.mark.parametrize(
    ("version", "buildkit"),
    [("25.0.5", "v0.0.0+unknown"), ("26.1.0", "v0.13.1"), ("dev", "v0.12.5")],
)
def test_docker_too_old_is_refused(version: str, buildkit: str) -> None:
    with pytest.raises(EngineError, match="needed"):
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
        EngineError, match=rf"builder worker .*{version}.* is too old, 0\.13\.2 is needed"
    ):
        builder.check_buildkit(found)


def test_builder_without_comparable_version_is_a_warning() -> None:
    (warning,) = builder.check_buildkit(Builder("worker", "remote", "v0.0.0+unknown"))
    assert "builder worker (remote driver, BuildKit v0.0.0+unknown)" in warning


def engine_of(found: engines.Engine, inspected: str, name: str | None = None) -> Endpoint:
    """An engine whose buildx prints this for `inspect`."""
    return Endpoint(Address(found.host), ("sh", "-c", f"printf '{inspected}'"), "docker", name)


# What buildx 0.29 prints for Podman's socket: it takes it for a daemon that it may start BuildKit
# in.
PODMANS = "Name: default\\nDriver: docker-container\\nStatus: inactive\\n"


def test_podman_without_a_builder_is_named_with_what_works(loopback: engines.Engine) -> None:
    loopback.is_a(engines.PODMAN, engines.CLASSIC)
    with pytest.raises(
        EngineError, match=r"Podman 5\.8\.6 answers .* has no BuildKit .*--builder worker"
    ):
        builder.buildable(engine_of(loopback, PODMANS))


def test_podman_with_a_builder_can_build_and_not_push(loopback: engines.Engine) -> None:
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


def test_classic_store_with_a_builder_can_build_and_not_push(loopback: engines.Engine) -> None:
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


def test_builder_of_another_context_is_refused_with_the_way_there(loopback: engines.Engine) -> None:
    inspected = "Name: team\\nDriver: docker\\nBuildKit version: v0.20.0\\n"
    with pytest.raises(
        EngineError,
        match="builder team is the engine of another docker context; set DOCKER_CONTEXT=team",
    ):
        builder.buildable(engine_of(loopback, inspected, "team"))
