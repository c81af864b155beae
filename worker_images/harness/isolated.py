"""Run the image layer in isolation from the caller's environment.

Usage: python -I worker_images/harness/isolated.py ARGUMENTS

Only files of this checkout decide which checks run. No plugin from the environment is loaded, no
configuration or conftest.py of another folder is read, and no file in the checkout replaces an
installed module.
"""

import os
import signal
import sys
import traceback
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = (
    *(f"worker_images.harness.{name}" for name in ("options", "collection", "plugin")),
    "worker_images.harness.derived_plugin",
    "no:cacheprovider",
    "no:hypothesispytest",
)
# Settings of pyproject.toml that could leave checks out.
SETTINGS = (
    "addopts=",
    "collect_imported_tests=true",
    "norecursedirs=.*",
    "python_classes=Test",
    "python_files=test_*.py",
    "python_functions=test",
    "pythonpath=",
)
# pytest's exit status for an error in a plugin; Python's own would be 1, as for failed checks.
INTERNAL_ERROR = 3


def _package(name: str) -> None:
    """Make a folder of the checkout importable, but none of its siblings."""
    package = types.ModuleType(name)
    package.__path__ = [str(ROOT / name)]
    sys.modules[name] = package


def main() -> int:
    """Run pytest and return its status."""
    for name in [name for name in os.environ if name.startswith(("PYTHON", "PYTEST_"))]:
        del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # Background jobs of a shell ignore SIGINT, which build.py sends to end these tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("worker_images", "tests"):
        _package(name)
    import pytest

    layer = ROOT / "tests" / "image"
    fixed = ["-c", str(ROOT / "pyproject.toml"), "--confcutdir", str(layer)]
    fixed += ["--import-mode", "importlib", "-ra", "--strict-markers", "--strict-config"]
    fixed += [part for name in PLUGINS for part in ("-p", name)]
    fixed += [part for setting in SETTINGS for part in ("--override-ini", setting)]
    try:
        return int(pytest.main([*fixed, *sys.argv[1:], str(layer)]))
    except Exception:  # noqa: BLE001 - no exception here is a failed check
        traceback.print_exc()
        return INTERNAL_ERROR


if __name__ == "__main__":
    raise SystemExit(main())
