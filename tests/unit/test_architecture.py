"""Who may import whom, held by reading every import of every module."""

import ast
import sys
from pathlib import Path

from gpukit import __main__ as gpukit
from imagetest.plugin import ROOT

# What the judge may know of the maker: pins and catalogue, how to read YAML, and how to reach an engine and Debian.
JUDGE_MAY = {"pins", "catalog", "document", "schema", "errors", "engine", "images", "daemon", "debian", "places"}

PACKAGES = (
    *("imagebuild", "inputs", "imagetest", "imagereport", "machinedoctor"),
    *("drivercontract", "updates", "sandbox", "checklist", "gpukit"),
)


def imports(path: Path, *, late: bool = True) -> set[str]:
    """Every module name that a file imports; without `late`, only at its top."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if late else iter(tree.body)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).glob("*.py"))
    assert len(found) > 1
    return found


def test_judge_does_not_know_the_makers_choices() -> None:
    for path in [*modules("imagetest"), *modules("tests/image")]:
        known = {name.split(".")[1] for name in imports(path) if name.startswith("imagebuild.")}
        assert known <= JUDGE_MAY, path


def test_maker_does_not_know_the_judge() -> None:
    for path in modules("imagebuild"):
        assert not [name for name in imports(path) if name.startswith(("imagetest", "tests"))], path


def test_docker_is_imported_in_three_modules_and_late() -> None:
    users = [path for folder in PACKAGES for path in modules(folder) if any(n.split(".")[0] == "docker" for n in imports(path))]
    assert {path.name for path in users} == {"images.py", "push.py", "sdk.py"}
    assert not [path for path in users for name in imports(path, late=False) if name.split(".")[0] == "docker"]


def test_only_the_entry_prints_and_exits() -> None:
    for path in [path for folder in PACKAGES if folder not in {"imagereport", "gpukit"} for path in modules(folder)]:
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {call.id for call in calls if isinstance(call, ast.Name)}
        assert path.name in {"cli.py", "__main__.py"} or not names & {"print", "exit"}, path


def test_the_quick_answer_imports_only_the_standard_library() -> None:
    for name in ("cli", "unchanged", "daemon", "record", "places", "errors"):
        outside = {module.split(".")[0] for module in imports(ROOT / f"imagebuild/{name}.py", late=False)} - {"imagebuild"}
        assert not outside & {"pydantic", "yaml", "jinja2", "docker", "requests"}, name


def test_what_travels_to_a_node_needs_only_python() -> None:
    """pytest goes with it, and is asked of by its checks alone."""
    travelling = {path for pattern in gpukit.PARTS for path in ROOT.glob(pattern) if path.suffix == ".py"}
    assert len(travelling) > 15
    own = {"imagetest", "drivercontract", "sandbox", "checklist", "tests", "driver_api"}
    for path in travelling - {ROOT / "tests/workload/probes/test_gpu.py"}:
        found = {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - own
        assert found <= ({"pytest"} if path.parent.name == "workload" or path.name == "options.py" else {"torch"}), path
        for package in ("imagetest", "drivercontract"):
            named = {name.split(".")[1] for name in imports(path) if name.startswith(f"{package}.") and name.count(".")}
            assert named <= {Path(part).stem for part in gpukit.PARTS if part.startswith(f"{package}/")}, path


def test_size_rules() -> None:
    lengths = []
    for folder in PACKAGES:
        for path in modules(folder):
            text = path.read_text()
            assert len(text.splitlines()) <= 250, path
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    lengths.append((node.end_lineno or 0) - node.lineno + 1)
                    assert lengths[-1] <= 40, f"{path}:{node.lineno}"
    assert sorted(lengths)[len(lengths) // 2] <= 10
