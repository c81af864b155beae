"""Programs on the node are measured with the variables that a sandbox also has."""

import dataclasses
from pathlib import Path

import pytest

from worker_images.node.measure.native import native_command
from worker_images.node.node import Node
from worker_images.node.place import run_command


def test_variables_of_the_caller_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """LD_PRELOAD of another malloc, for example, makes programs faster on the node alone."""
    monkeypatch.setenv("LD_PRELOAD", "/nowhere/libjemalloc.so")
    found = run_command(native_command(Node("", (), (), (), ""), "env"))
    assert [line.partition("=")[0] for line in found.output.splitlines()] == ["PATH"]


def test_driver_of_the_node_is_found(gpu: Node) -> None:
    node = dataclasses.replace(gpu, libraries=(Path("/driver/libcuda.so.1"),))
    found = run_command(native_command(node, "env"))
    assert "LD_LIBRARY_PATH=/driver" in found.output.splitlines()
