"""The release tools run on amd64 alone."""

import pytest

from worker_images.build.machine import Machine
from worker_images.errors import EngineError
from worker_images.model.lock import Lock
from worker_images.model.project import Project
from worker_images.release import tools


def test_tools_are_refused_on_another_architecture(
    project: Project, locked: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = Machine("aarch64", debian=True, root=True)
    monkeypatch.setattr(Machine, "here", lambda: arm)
    with pytest.raises(EngineError, match="this machine is aarch64, but oras and cosign of"):
        tools.ensure(project, locked, lambda _: None)
