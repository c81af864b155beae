"""The judge's commands beside pytest: python -m imagetest."""

import sys
from pathlib import Path

from sandbox.cli import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], Path(__file__).resolve().parent.parent))
