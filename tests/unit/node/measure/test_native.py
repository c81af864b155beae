"""Programs on the node are measured with the variables that a sandbox also has."""

import dataclasses
from pathlib import Path

import pytest

from worker_images.node.measure.native import native_command
from worker_images.node.node import Node
from worker_images.node.place import run_command
from worker_images.node.spec import PATH


def test_variables_of_the_caller_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """LD_PRELOAD of another malloc, for example, makes programs faster on the node alone."""
    monkeypatch.setenv("LD_PRELOAD", "/nowhere/libjemalloc.so")
    found = run_command(native_command(Node("", (), (), (), ""), "env"))
    assert found.output.splitlines() == [f"PATH={PATH}", f"HOME={Path.home()}"]


def test_driver_of_the_node_is_found(gpu: Node) -> None:
    """PATH is otherwise that of a sandbox, whatever the caller's is."""
    libraries, programs = (Path("/lib/libcuda.so.1"),), (Path("/bin/nvidia-smi"),)
    node = dataclasses.replace(gpu, libraries=libraries, programs=programs)
    found = run_command(native_command(node, "env"))
    assert {"LD_LIBRARY_PATH=/lib", f"PATH=/bin:{PATH}"} < {*found.output.splitlines()}
