"""The benchmark compares node and sandbox."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from worker_images.node import figures
from worker_images.node.figures import FIGURES, Measured
from worker_images.node.node import Node
from worker_images.node.place import Answer, Bare, PlaceError, Unpacked


@pytest.mark.parametrize(("key", "node_value", "sandbox_value", "kept"), [
    ("matmul_tflops", 100.0, 97.0, True),
    ("matmul_tflops", 100.0, 96.9, False),
    ("launch_us", 10.0, 11.0, True),
    ("launch_us", 10.0, 11.1, False),
    ("start_s", 1.0, 1.31, False),
    ("allocate_us", 1.0, 9.0, True),
])  # fmt: skip
def test_a_bar_holds_or_is_missed(
    key: str, node_value: float, sandbox_value: float, kept: bool
) -> None:
    figure = next(each for each in FIGURES if each.key == key)
    measured = Measured(figure, (node_value, 0.1, 99999.0), (sandbox_value, 0.1, 99999.0))
    assert measured.kept is kept
    assert ("MISSED" in figures.text([measured])) is not kept
    assert json.loads(figures.as_json([measured]))["figures"][0]["kept"] is kept


def test_node_and_sandbox_go_first_by_turns(
    gpu: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which side began each turn, and that each value is kept on its own side."""
    went: list[str] = []

    def replying(side: str, value: float) -> Callable[..., Answer]:
        def reply(*asked: object, **_: object) -> Answer:
            if "find_spec" not in str(asked):
                went.append(side)
            return Answer(
                0,
                json.dumps(dict.fromkeys(("launch_us", "copy_gb_per_s", "matmul_tflops"), value)),
                "",
            )

        return reply

    monkeypatch.setattr(figures, "answer", replying("node", 1.0))
    monkeypatch.setattr(figures, "sandbox", replying("sandbox", 2.0))
    bare = Bare("/runsc", str(tmp_path / "beside"))
    measured = figures.measure(
        Unpacked(tmp_path / "rootfs"), bare, gpu, "python3", tmp_path, tmp_path, lambda _: None
    )
    starts = 2 * figures.STARTS
    assert went[starts : starts + 6] == ["node", "sandbox", "sandbox", "node", "node", "sandbox"]
    assert len(went) == starts + 2 * (figures.DRIVER_TURNS + figures.TORCH_TURNS)
    assert {
        each.figure.key: each.ratio for each in measured if each.figure.key != "start_s"
    } == dict.fromkeys(("launch_us", "copy_gb_per_s", "matmul_tflops"), 2.0)


def launches(*turns: list[list[float]]) -> Callable[..., Answer]:
    """Answers of a probe, a turn each, the last again and again."""
    left = list(turns)

    def reply(*asked: object, **_: object) -> Answer:
        missing = "find_spec" in str(asked)
        return Answer(
            int(missing),
            "" if missing else json.dumps({"launch_us": left.pop(0) if len(left) > 1 else left[0]}),
            "",
        )

    return reply


def test_launches_are_compared_at_the_processors_full_speed(
    gpu: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour on the core slows launch and yardstick alike, on whichever side it falls: such
    repeats say nothing of runsc.
    """
    fast, slow = [[4.0, 0.2], [4.2, 0.24]], [[5.7, 0.4], [5.8, 0.41]]
    monkeypatch.setattr(figures, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(figures, "answer", launches(fast))
    monkeypatch.setattr(figures, "sandbox", launches(*6 * [slow], [*fast, *slow]))
    bare = Bare("/runsc", str(tmp_path / "beside"))
    found = figures.measure(
        Unpacked(tmp_path / "rootfs"), bare, gpu, "python3", tmp_path, tmp_path, lambda _: None
    )
    launch = next(each for each in found if each.figure.key == "launch_us")
    assert launch.ratio == 1.0
    assert len(launch.sandboxed) == figures.FULL_SPEED_TURNS
    assert len(launch.native) == 6 + figures.FULL_SPEED_TURNS


def test_a_slower_launch_is_not_excused_by_the_processor(
    gpu: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(figures, "answer", launches([[4.0, 0.2]]))
    monkeypatch.setattr(figures, "sandbox", launches([[5.7, 0.2]]))
    bare = Bare("/runsc", str(tmp_path / "beside"))
    found = figures.measure(
        Unpacked(tmp_path / "rootfs"), bare, gpu, "python3", tmp_path, tmp_path, lambda _: None
    )
    assert "MISSED" in figures.text(found)


def test_a_side_that_was_never_at_full_speed_is_not_compared(
    gpu: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_starts", lambda *_: ((1.0,), (1.0,)))
    monkeypatch.setattr(figures, "answer", launches([[4.0, 0.2]]))
    monkeypatch.setattr(figures, "sandbox", launches([[5.7, 0.4]]))
    bare = Bare("/runsc", str(tmp_path / "beside"))
    with pytest.raises(PlaceError, match="never at full speed on one side in 15 turns"):
        figures.measure(
            Unpacked(tmp_path / "rootfs"), bare, gpu, "python3", tmp_path, tmp_path, lambda _: None
        )
