"""Licences of Debian packages, from their copyright files."""

import re

from cyclonedx import spdx

# https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
FORMAT = "/copyright-format/1.0"
LICENCE = re.compile(r"^License:[ \t]*(\S.*?)\s*$", re.MULTILINE | re.IGNORECASE)
GNU = re.compile(r"(?P<family>GPL|LGPL|AGPL|GFDL)-(?P<version>[1-3](\.[0-9])?)(\.0)?(?P<later>\+)?")
SPDX = {"Apache-2": "Apache-2.0", "Expat": "MIT", "zlib": "Zlib"}


def of_copyright(text: str) -> tuple[str, ...]:
    """Return the licences that a machine-readable copyright file names, in order of their names.

    Each is an SPDX identifier, or Debian's name where SPDX has none. Empty for other files.
    """
    if FORMAT not in text.partition("\n\n")[0]:
        return ()
    return tuple(sorted({_identifier(name) for name in LICENCE.findall(text)}))


def is_spdx(name: str) -> bool:
    """Whether a licence is an SPDX identifier."""
    return spdx.is_supported_id(name)


def _identifier(name: str) -> str:
    if found := GNU.fullmatch(name):
        version = found["version"] if "." in found["version"] else f"{found['version']}.0"
        suffix = "or-later" if found["later"] else "only"
        # SPDX has no GFDL-1.0.
        return spdx.fixup_id(f"{found['family']}-{version}-{suffix}") or name
    return SPDX.get(name) or spdx.fixup_id(name) or name
