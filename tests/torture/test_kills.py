"""Do builds and releases that were killed at a random moment finish when they are run again?"""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

from tests.torture.runs import ROUNDS, SEED, killed, run, seconds, tags
from worker_images.files import ROOT

OUT = ROOT / "out/slim"
BUILD = ["--variant", "slim"]


def identity() -> tuple[str, str]:
    """The digests of the built image."""
    record = json.loads((OUT / "build.json").read_text())
    return record["image_id"], record["manifest_digest"]


def forget() -> None:
    """Make the next build build again, from BuildKit's cache."""
    for name in ("build.json", "image.tar"):
        (OUT / name).unlink(missing_ok=True)


def test_killed_build_gives_the_same_image_when_run_again(
    record_property: Callable[[str, object], None],
) -> None:
    forget()
    longest = seconds(BUILD)
    wanted, cut = identity(), 0
    for _ in range(ROUNDS):
        forget()
        cut += killed(BUILD, longest)
        done = run(BUILD)
        assert done.returncode == 0, done.stderr
        assert identity() == wanted
        assert not list(OUT.glob("candidate.tar"))
    record_property("seen", f"{cut} of {ROUNDS} builds were killed (seed {SEED}); one image ID")
    assert cut > ROUNDS // 2


def test_killed_release_leaves_no_tag_that_does_not_verify(
    registry_address: str,
    data: Path,
    key: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """After each kill every tag verifies, and the same command gives the same digests."""

    def release(name: str) -> list[str]:
        target = f"{registry_address}/{name}"
        options = ["--arch", "amd64", "--to", target, "--version", name[-8:]]
        return ["release", "--variant", "slim", *options, "--key", str(key.with_suffix(".key"))]

    longest = seconds(release("team/first000"))
    cut = tagged = 0
    for _ in range(ROUNDS):
        name = f"team/{secrets.token_hex(4)}"
        cut += killed(release(name), longest)
        tagged += verified(registry_address, data, name, key)
        done = run([*release(name), "--json"])
        assert done.returncode == 0, done.stderr
        assert verified(registry_address, data, name, key) == 2
    record_property(
        "seen", f"{cut} of {ROUNDS} releases were killed (seed {SEED}), {tagged} tags existed then"
    )
    assert cut > ROUNDS // 2


def verified(address: str, data: Path, name: str, key: Path) -> int:
    """Verify each tag of a repository for users; return their number."""
    found = tags(data, name)
    for tag in found:
        reference = f"{address}/{name}:{tag}"
        options = ["--key", str(key.with_suffix(".pub"))]
        done = run(["verify-release", reference, *options])
        assert done.returncode == 0, done.stderr
    return len(found)
