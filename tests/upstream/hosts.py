"""The hosts of the stand-in internet, and how each answers."""

from collections.abc import Mapping

HUB, TOKENS = "registry-1.docker.io", "auth.docker.io"
BUCKET, GITHUB, ASSETS = (
    "storage.googleapis.com",
    "github.com",
    "release-assets.githubusercontent.com",
)
NVIDIA, DEBIAN = "nvidia.github.io", "deb.debian.org"
# A company's mirror of all others, which needs a login; and a host to which nobody should go.
MIRROR, OTHER = "artifactory.example.com", "elsewhere.example.net"
USER, PASSWORD = "builder", "correct-horse"
NAMES = (HUB, TOKENS, BUCKET, GITHUB, ASSETS, NVIDIA, DEBIAN, MIRROR, OTHER)
# TEST-NET-2 of RFC 5737.
NAMESERVER = "198.51.100.53"
ADDRESSES: Mapping[str, str] = {
    name: f"198.51.100.{number}" for number, name in enumerate(NAMES, start=101)
}
PORTS = {80: False, 443: True, 8443: True}
# The mirror's folders, as in versions.yaml, and what each mirrors.
FOLDERS: Mapping[str, str] = {
    "github": GITHUB,
    "gvisor": BUCKET,
    "nvidia": NVIDIA,
    "debian": DEBIAN,
}
