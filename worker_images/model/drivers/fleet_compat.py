"""The query of build.py compat for the nodes of a fleet: every node gets its own answer."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from worker_images.model.drivers import kernel
from worker_images.model.drivers.advice import advise
from worker_images.model.drivers.compat import CompatResult, Pinned, error_of, role, text_of
from worker_images.model.drivers.fleet import Node
from worker_images.model.drivers.table import SUPPORTED, Release, Table

# The answers for a node of a fleet.
SERVED, BREAKS, ALLOWED = "served", "breaks", "allowed"
ODD, UNLABELLED = "not servable", "no driver label"


def check(nodes: Sequence[Node], row: Release, table: Table, pinned: Pinned) -> CompatResult:
    """Return the nodes whose drivers a release does not serve."""
    statuses = {each: _status(each, row, pinned) for each in dict.fromkeys(nodes)}
    fixes = _fleet_fixes(nodes, statuses, row, table, pinned)
    odd = {each.name: _oddity(each, table) for each in nodes if statuses[each] == ODD}
    data: dict[str, object] = {
        "release": row.name,
        "nodes": [
            {"node": each.name, "driver": each.driver, "answer": _answer(each, statuses[each], row)}
            for each in nodes
        ],
        "breaks": [each.name for each in nodes if statuses[each] == BREAKS],
        "apart": odd,
        "allowed": {
            each.name: pinned.allowed[each.driver] for each in nodes if statuses[each] == ALLOWED
        },
        "no_driver_label": [each.name for each in nodes if statuses[each] == UNLABELLED],
        "next": fixes,
    }
    count = Counter(statuses[each] for each in nodes)
    counts = [f"{count[SERVED]} served", f"{count[BREAKS]} would break"]
    counts += [f"{count[ODD]} that no release serves"] if odd else []
    counts += [f"{count[ALLOWED]} allowed to be unserved"] if count[ALLOWED] else []
    counts.append(f"{count[UNLABELLED]} without a driver label")
    rows = [(role(row, pinned), row.name)]
    rows += _fleet_rows(nodes, statuses, row, table, pinned)
    rows += [("next", f"{name}: {fix}") for name, fix in fixes.items()]
    rows += [("nodes", ", ".join(counts))]
    return CompatResult(data, text_of(rows), _fleet_error(fixes, odd, row))


def _status(node: Node, row: Release, pinned: Pinned) -> str:
    """Which of the answers a node gets."""
    if node.problem:
        return ODD
    if not node.driver:
        return UNLABELLED
    if row.status(node.driver) == SUPPORTED:
        return SERVED
    if node.driver in pinned.allowed:
        return ALLOWED
    return ODD if kernel.kind_of(node.driver) else BREAKS


def _answer(node: Node, status: str, row: Release) -> str:
    if status in (UNLABELLED, ODD):
        return status
    return row.status(node.driver)


def _oddity(node: Node, table: Table) -> str:
    """Why no release can serve a node, and the next step."""
    return node.problem or advise(node.driver, table).text


def _fleet_fixes(
    nodes: Sequence[Node],
    statuses: Mapping[Node, str],
    row: Release,
    table: Table,
    pinned: Pinned,
) -> dict[str, str]:
    """The next step for each driver, and apart for each architecture and kind of machine."""
    broken = dict.fromkeys(
        (each.driver, each.architecture, each.kind) for each in nodes if statuses[each] == BREAKS
    )
    several = len({architecture for _, architecture, _ in broken}) > 1
    drivers = dict.fromkeys(each.driver for each in nodes if statuses[each] in (BREAKS, SERVED))
    together = [driver for driver in drivers if table.serving(driver)]
    fixes = {}
    for driver, architecture, kind in broken:
        where = f" on {architecture}" if several and architecture else ""
        where += f" in a {kind} guest" if kind else ""
        advice = advise(
            driver,
            table,
            row,
            fleet=pinned.required,
            together=together,
            architecture=architecture,
            kind=kind,
        )
        fixes[f"{driver}{where}"] = advice.step
    return fixes


def _fleet_rows(
    nodes: Sequence[Node],
    statuses: Mapping[Node, str],
    row: Release,
    table: Table,
    pinned: Pinned,
) -> list[tuple[str, str]]:
    """A row for each node that a release does not serve."""
    texts: dict[str, tuple[str, Callable[[Node], str]]] = {
        BREAKS: ("breaks", lambda each: f"{each.driver}  {row.status(each.driver)}"),
        ODD: ("apart", lambda each: f"{each.driver}  {_oddity(each, table)}".strip()),
        ALLOWED: ("allowed", lambda each: f"{each.driver}  {pinned.allowed[each.driver]}"),
        UNLABELLED: ("skipped", lambda _: UNLABELLED),
    }
    return [
        (name, f"{each.name}  {text(each)}")
        for status, (name, text) in texts.items()
        for each in nodes
        if statuses[each] == status
    ]


def _fleet_error(fixes: Mapping[str, str], odd: Mapping[str, str], row: Release) -> str:
    if fixes:
        return error_of(list(fixes), row, fixes)
    return "; ".join(f"{name}: {why}" for name, why in [*odd.items()][:1])
