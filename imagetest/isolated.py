"""pytest for the image layer, apart from the caller's environment: python -I imagetest/isolated.py ARGUMENTS.

Which checks run must depend on files of this checkout alone: no plugin of the environment is loaded, no configuration
or conftest.py of another folder is read, and no module of the checkout stands in for one that is installed.
"""

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run pytest and return its status."""
    for name in [name for name in os.environ if name.startswith(("PYTHON", "PYTEST_"))]:
        del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # A shell in the background has its children ignore Ctrl-C; build.py ends these tests by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Last: an installed module comes first.
    sys.path.append(str(ROOT))
    import pytest

    layer = ROOT / "tests" / "image"
    fixed = ["-c", str(ROOT / "pyproject.toml"), "--confcutdir", str(layer)]
    fixed += ["--override-ini", "pythonpath=", "--import-mode", "importlib"]
    return int(pytest.main([*fixed, *sys.argv[1:], str(layer)]))


if __name__ == "__main__":
    raise SystemExit(main())
