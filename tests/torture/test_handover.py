"""Is a release refused, or unchanged, if a bit of its files is changed after the tests?"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.torture.runs import RANDOM, SEED, run, tags
from worker_images.files import ROOT

OUT = ROOT / "out/slim"
# How many bits are changed in each file, one in each release.
FLIPS = {"image.tar": 20, "image.xml": 8, "image.xml.seal": 4, "build.json": 4}
REFUSED = {4, 5, 7}


def flip(path: Path) -> int:
    """Change a random bit of a file, keep its times, and return the position."""
    before, data = path.stat(), bytearray(path.read_bytes())
    position = RANDOM.randrange(len(data))
    data[position] ^= 1 << RANDOM.randrange(8)
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return position


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """A function that restores the files of slim, which also runs at the end."""

    def restore() -> None:
        for name in FLIPS:
            shutil.copy2(tmp_path / name, OUT / name)

    for name in FLIPS:
        shutil.copy2(OUT / name, tmp_path / name)
    yield restore
    restore()


def test_changed_bit_is_never_published(
    registry_address: str,
    data: Path,
    key: Path,
    kept: Callable[[], None],
    record_property: Callable[[str, object], None],
) -> None:
    def release(name: str) -> tuple[int, str, str]:
        target = f"{registry_address}/{name}"
        options = ["--arch", "amd64", "--to", target, "--version", "1", "--json"]
        signing = ["--key", str(key.with_suffix(".key"))]
        done = run(["release", "--variant", "slim", *options, *signing])
        return done.returncode, done.stdout, done.stderr

    status, text, errors = release("team/expected")
    assert status == 0, errors
    expected = json.loads(text)[0]["images"]
    refused = 0
    for number, name in enumerate(name for name, count in FLIPS.items() for _ in range(count)):
        kept()
        position = flip(OUT / name)
        status, text, errors = release(f"team/flip{number}")
        where = f"bit in byte {position} of {name} (seed {SEED})"
        if status:
            assert status in REFUSED, f"{where}: {errors}"
            assert "Traceback" not in errors, where
            assert tags(data, f"team/flip{number}") == [], where
            refused += 1
        else:
            assert json.loads(text)[0]["images"] == expected, where
    record_property("seen", f"{refused} of {sum(FLIPS.values())} refused, none published")
    assert refused >= 30
