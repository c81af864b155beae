"""The commands for GPU nodes: python3 -m worker_images.node."""

import sys
from pathlib import Path

from worker_images.node.cli import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], Path(__file__).resolve().parents[2]))
