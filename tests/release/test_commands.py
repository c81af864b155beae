"""Do the commands work as a user runs them, and do the users' own tools accept a release?"""

import json
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.sites import VERSION, Site
from tests.support.small_releases import Factory
from worker_images.engine.endpoint import Endpoint
from worker_images.release import cosign, registry


def test_rollback_command_moves_the_floating_tag_back(site: Site, factory: Factory) -> None:
    place = registry.connect(factory.tools, site.target)
    released = place.resolve(f":{VERSION}-slim")
    other = place.resolve(f":{VERSION}-full")
    assert released
    assert other
    place.tag(other, "slim")
    before = {tag: place.resolve(f":{tag}") for tag in site.tags()}
    words = ["--registry", site.target, "--variant", "slim", "--key", str(site.public_key)]
    done = site.run("rollback", "--to", VERSION, *words)
    assert done.returncode == 0, done.stderr
    assert (released in done.stdout, other in done.stdout) == (True, True)
    assert {tag: place.resolve(f":{tag}") for tag in before} == before | {"slim": released}
    missing = site.run("rollback", "--to", "9.9", *words)
    assert missing.returncode == 6
    assert "9.9-slim: not found" in missing.stderr


def test_engine_pulls_and_runs_the_released_image(site: Site, endpoint: Endpoint) -> None:
    """The engine gets the layers that were tested."""

    def docker(*words: str) -> str:
        done = commands.run([endpoint.docker, *words], env=endpoint.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    name = f"{site.target}@{site.verified(f'{site.target}:{VERSION}-slim')['digest']}"
    docker("pull", "--quiet", name)
    try:
        assert "runsc version" in docker("run", "--rm", name, "runsc", "--version")
        inspect = ("image", "inspect", "--format", "{{json .RootFS.Layers}} {{json .Config}}")
        assert docker(*inspect, name) == docker(*inspect, "worker:slim")
    finally:
        docker("rmi", name)


def test_cosign_and_oras_accept_the_release(site: Site, factory: Factory, tmp_path: Path) -> None:
    """The commands of docs/release.md for users without this checkout."""
    name = f"{site.target}:{VERSION}-slim"
    found = factory.tools.run("oras", ["discover", "--plain-http", "--format", "json", name])
    assert found.status == 0, found.errors
    listed = json.loads(found.output)["manifests"]
    assert {each["artifactType"] for each in listed} == {cosign.BUNDLE}
    root = tmp_path / "root.json"
    root.write_text(json.dumps(cosign.NO_AUTHORITIES))
    command = ["verify-attestation", "--new-bundle-format", "--type=slsaprovenance1"]
    command += ["--insecure-ignore-tlog", f"--trusted-root={root}", "--allow-http-registry"]
    done = factory.tools.run("cosign", [*command, f"--key={site.public_key}", name])
    assert done.status == 0, done.errors
    _, other = cosign.make_key(factory.tools, tmp_path / "other")
    refused = factory.tools.run("cosign", [*command, f"--key={other}", name])
    assert refused.status != 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--variant", "none"], 2, "none"),
        (["--variant", ""], 2, "variant"),
        (["--version", "a b"], 2, "--version"),
        (["--to", "worker"], 2, "--to"),
        (["--key", "/none"], 2, "release-key"),
        (["--keyless"], 2, "--key"),
        (["--results", "/none"], 2, "/none"),
        (["--require", "none"], 2, "none"),
        (["--to", "127.0.0.1:1/team/worker"], 6, "connection refused"),
    ],
)
def test_release_with_a_wrong_option_ends_before_any_work(
    words: list[str], code: int, text: str, site: Site
) -> None:
    """Nothing is built, and the registry gets no write."""
    site.proxy.exchanges.clear()
    done = site.release("slim", "wrong", *words)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "engine" not in done.stderr
    assert "Traceback" not in done.stderr
    assert site.proxy.lines("^(PUT|POST)") == []
