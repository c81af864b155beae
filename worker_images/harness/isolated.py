"""pytest for the image layer, apart from the caller's environment: python -I
worker_images/harness/isolated.py ARGUMENTS.

Which checks run must depend on files of this checkout alone: no plugin of the environment is
loaded, no configuration or conftest.py of another folder is read, and no module of the checkout
stands in for one that is installed.
"""

import os
import signal
import sys
import traceback
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# pytest's own status for a fault of its plugins; Python would end with 1, which is that of failed
# checks.
INTERNAL_ERROR = 3


def _package(name: str) -> None:
    """Make a folder of the checkout importable, without the modules that lie beside it."""
    made = types.ModuleType(name)
    made.__path__ = [str(ROOT / name)]
    sys.modules[name] = made


def main() -> int:
    """Run pytest and return its status."""
    for name in [name for name in os.environ if name.startswith(("PYTHON", "PYTEST_"))]:
        del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # A shell in the background has its children ignore Ctrl-C; build.py ends these tests by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("worker_images", "tests"):
        _package(name)
    import pytest

    layer = ROOT / "tests" / "image"
    fixed = ["-c", str(ROOT / "pyproject.toml"), "--confcutdir", str(layer)]
    fixed += ["--override-ini", "pythonpath=", "--import-mode", "importlib"]
    try:
        return int(pytest.main([*fixed, *sys.argv[1:], str(layer)]))
    except Exception:  # noqa: BLE001 - whatever it is, it is not a failed check
        traceback.print_exc()
        return INTERNAL_ERROR


if __name__ == "__main__":
    raise SystemExit(main())
