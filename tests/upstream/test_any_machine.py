"""Does an ordinary user build and test an image without root, apt and dpkg, with Docker alone?"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.upstream.stand_in import StandIn
from worker_images.files import ROOT

USER = ("setpriv", "--reuid=1000", "--regid=1000", "--groups=0", "--no-new-privs")
DEBIAN = re.compile(r"(apt|dpkg|deb)")
# In the namespaces: the checkout, the environment and the socket at places that the user reaches.
# The socket belongs to group 0, as Docker's belongs to the group docker.
PREPARE = """set -e
checkout=$1 environment=$2 engine=$3 programs=$4 python=$5
shift 5
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/checkout /mnt/home/.docker/cli-plugins /mnt/programs
cp -a "$programs/." /mnt/programs
cp -L "$engine/root/usr/bin/docker" /mnt/programs
cp -L "$engine/root/usr/libexec/docker/cli-plugins/docker-buildx" /mnt/home/.docker/cli-plugins
touch /mnt/docker.sock
mount --bind "$engine/docker.sock" /mnt/docker.sock
mount --bind "$checkout" /mnt/checkout
mkdir /mnt/checkout/.venv
mount --bind "$environment" /mnt/checkout/.venv
chown -R 1000:1000 /mnt/home /mnt/programs
# An ordinary user does not reach a Python in the home folder of root.
case $python in /root/*)
  mkdir /mnt/python
  mount --bind "$python" /mnt/python
  mount -t tmpfs -o mode=755 tmpfs /root
  mkdir -p "$python"
  mount --bind /mnt/python "$python"
esac
cd /mnt/checkout
exec "$@"
"""
ENVIRONMENT = (
    *("/usr/bin/env", "--ignore-environment", "PATH=/mnt/programs", "HOME=/mnt/home"),
    "DOCKER_HOST=unix:///mnt/docker.sock",
)


def programs(folder: Path) -> Path:
    """All programs of this machine except those of Debian and of administrators."""
    folder.mkdir()
    for name in {path.name for path in Path("/usr/bin").iterdir()}:
        if not DEBIAN.match(name) and name != "docker":
            (folder / name).symlink_to(f"/usr/bin/{name}")
    return folder


def run(
    upstream: StandIn, folder: Path, own: Path, *words: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a checkout as an ordinary user of such a machine."""
    prepare = ("unshare", "--mount", "sh", "-c", PREPARE, "sh")
    places = (folder, ROOT / ".venv", upstream.internet.engine, own, sys.base_prefix)
    return upstream.internet.run(*prepare, *places, *USER, *ENVIRONMENT, *words)


def test_ordinary_user_without_debian_builds_and_tests(upstream: StandIn, tmp_path: Path) -> None:
    folder = upstream.checkout("anywhere")
    (folder / ".venv").unlink()
    subprocess.run(["chown", "-R", "1000:1000", str(folder)], check=True)
    started = upstream.internet.run(sys.executable, "build.py", "engine", "start")
    assert started.returncode == 0, started.stderr
    own = programs(tmp_path / "programs")
    for name in ("apt-get", "dpkg", "dpkg-deb", "docker-buildx"):
        assert not (own / name).exists()
    command = ("python3", "build.py", "--variant", "slim", "--source", "upstream")
    done = run(upstream, folder, own, *command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"^» slim passed [0-9]+ checks$", done.stderr, re.MULTILINE)
    assert (folder / "out/slim/image.tar").stat().st_uid == 1000
    shutil.rmtree(folder)
