"""PyPI wheels by their hash, fetched by pip, which knows the reader's mirrors, proxies and CA."""

import subprocess
import sys
import tempfile
from pathlib import Path

from imagebuild.debian import sha256
from imagebuild.errors import FetchError
from imagebuild.pins import PackagesSource
from imagebuild.places import swept

PLATFORM = ("--platform", "manylinux2014_x86_64", "--only-binary", ":all:", "--no-deps")


def file_name(source: PackagesSource) -> str:
    """The wheel's name in the build context."""
    return f"{source.wheel}-{source.version}.whl"


def fetch(source: PackagesSource, cache: Path) -> Path:
    """Have the pinned wheel in the cache, checked again at each use; raises FetchError."""
    path = cache / f"{source.sha256}.whl"
    if path.is_file() and sha256(path) == source.sha256:
        return path
    with tempfile.TemporaryDirectory(dir=swept(cache), prefix="part-") as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(f"{source.wheel}=={source.version} --hash=sha256:{source.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes", *PLATFORM]
        result = subprocess.run([*command, "--dest", folder, "--requirement", str(wanted)], capture_output=True, text=True, check=False)
        found = list(Path(folder).glob("*.whl"))
        if result.returncode or len(found) != 1:
            cause = next((line for line in result.stderr.splitlines() if "ERROR" in line), result.stderr.strip())
            raise FetchError(f"fetching {source.wheel} {source.version}: {cause}; check the network and PIP_INDEX_URL, then run again")
        found[0].replace(path)
    return path
