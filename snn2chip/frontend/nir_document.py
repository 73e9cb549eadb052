"""A NIR file as plain nodes in topological order: nested graphs are dissolved, nothing is interpreted yet.

The HDF5 layout is that of nir 1.0 (https://neuroir.org): ``/node`` is the outermost ``NIRGraph``; a graph holds a group
``nodes`` and a dataset ``edges [E, 2]`` of names; every node holds ``type``, the fields of its primitive and, if it
likes, a group ``metadata``, which has no meaning.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import h5py

from snn2chip.errors import GraphError
from snn2chip.frontend.hdf5_record import Record, as_text, shown

GRAPH = "NIRGraph"
MOST_NODES = 4096
MOST_DEPTH = 16
MOST_CHARACTERS = 200
#: What every node may carry beside the fields of its primitive.
COMMON = frozenset({"type", "metadata"})
_GRAPH_FIELDS = COMMON | {"nodes", "edges", "input_type", "output_type"}


@dataclass(frozen=True)
class NirNode(Record):
    """One primitive: its path of names (dots between nested graphs), kind, and fields as the file holds them.

    `sources` are the paths of the nodes whose outputs add up to its input.
    """

    path: str
    kind: str
    sources: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"node {self.path!r} ({shown(self.kind)[1:-1]})"


def read_nodes(root: h5py.Group) -> list[NirNode]:
    """Every node of the outermost graph `root`, each after its sources: the first is its Input, the last its Output.

    Inputs and outputs of nested graphs stay in the list as nodes that pass on what reaches them.

    Raises: GraphError naming the node where the graph is no single network from one Input to one Output.
    """
    collected = _Collected()
    collected.add_graph("", root, 1)
    collected.check_ends()
    return _ordered(collected)


@dataclass
class _Collected:
    """Nodes by path; edges between paths; where the edges of a nested graph really begin and end."""

    nodes: dict[str, NirNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    entrance: dict[str, str] = field(default_factory=dict)
    exit: dict[str, str] = field(default_factory=dict)

    def add_graph(self, path: str, group: h5py.Group, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise GraphError(f"node {path!r} ({GRAPH}) lies more than {MOST_DEPTH} graphs deep: no network needs that")
        members = _members(path, group)
        for name, member in members.items():
            self._add(_join(path, name), member, depth)
        self.entrance[path] = self._end(path, "Input", members)
        self.exit[path] = self._end(path, "Output", members)
        for source, target in _edges(path, group):
            for name in (source, target):
                if name not in members:
                    raise GraphError(
                        f"{_graph_label(path)} joins {shown(source)} to {shown(target)}, but has no node {shown(name)}"
                    )
            self.edges.append((_join(path, source), _join(path, target)))

    def _add(self, path: str, member: h5py.Group, depth: int) -> None:
        kind = _kind(path, member)
        if len(self.nodes) >= MOST_NODES:
            raise GraphError(f"it has more than {MOST_NODES} nodes: no network needs as many")
        if path in self.nodes or path in self.entrance:
            raise GraphError(f"two nodes are called {path!r} once nested graphs are dissolved: rename one")
        if kind == GRAPH:
            self.add_graph(path, member, depth + 1)
        else:
            self.nodes[path] = NirNode(member, path, kind)

    def _end(self, path: str, kind: str, members: dict[str, h5py.Group]) -> str:
        found = [name for name in members if getattr(self.nodes.get(_join(path, name)), "kind", "") == kind]
        if len(found) != 1:
            raise GraphError(f"{_graph_label(path)} has {len(found)} {kind} nodes: exactly one is supported")
        return _join(path, found[0])

    def resolved_edges(self) -> list[tuple[str, str]]:
        """Edges between primitives: those of a nested graph lead to its Input and come from its Output."""
        edges = [(self.exit.get(source, source), self.entrance.get(target, target)) for source, target in self.edges]
        if repeated := [edge for edge, count in Counter(edges).items() if count > 1]:
            source, target = repeated[0]
            raise GraphError(f"an edge joins {source!r} to {target!r} twice: put a Scale of 2 on a single edge instead")
        return edges

    def check_ends(self) -> None:
        edges = self.resolved_edges()
        read, fed = {source for source, _ in edges}, {target for _, target in edges}
        first, last = self.entrance[""], self.exit[""]
        for path, node in self.nodes.items():
            if (path in fed) == (path == first):
                raise node.refusal("takes its input from another node" if path in fed else "is fed by no node: join it")
            if (path in read) == (path == last):
                raise node.refusal("feeds another node" if path in read else "leads nowhere: join it to the Output")


def _members(path: str, group: h5py.Group) -> dict[str, h5py.Group]:
    if unknown := sorted(set(group) - _GRAPH_FIELDS):
        raise GraphError(f"{_graph_label(path)} has a field {shown(unknown[0])}, which is not known")
    nodes = group.get("nodes")
    if not isinstance(nodes, h5py.Group):
        raise GraphError(f"{_graph_label(path)} lacks its group 'nodes'")
    members = {name: nodes[name] for name in nodes}
    for name, member in members.items():
        if not isinstance(member, h5py.Group):
            raise GraphError(f"node {_join(path, name)!r} is a dataset where a group belongs")
    return members


def _kind(path: str, group: h5py.Group) -> str:
    found = group.get("type")
    kind = as_text(found[()]) if isinstance(found, h5py.Dataset) and found.shape is not None else None
    if kind is None:
        raise GraphError(f"node {path!r} does not say what it is: it lacks its 'type'")
    return kind


def _edges(path: str, group: h5py.Group) -> Iterator[tuple[str, str]]:
    found = group.get("edges")
    if not isinstance(found, h5py.Dataset):
        raise GraphError(f"{_graph_label(path)} lacks its dataset 'edges'")
    if not found.size:
        return
    if len(found.shape) != 2 or found.shape[1] != 2 or found.dtype.kind not in "OS":
        raise GraphError(f"{_graph_label(path)} has edges of shape {found.shape}: pairs of names are needed")
    for source, target in found[()].tolist():
        yield as_text(source) or "", as_text(target) or ""


def _ordered(collected: _Collected) -> list[NirNode]:
    """Every node after its sources, in the file's order where that leaves a choice; GraphError for a cycle."""
    sources: dict[str, list[str]] = {path: [] for path in collected.nodes}
    targets: dict[str, list[str]] = {path: [] for path in collected.nodes}
    for source, target in collected.resolved_edges():
        sources[target].append(source)
        targets[source].append(target)
    waiting = {path: len(found) for path, found in sources.items()}
    ready = deque(path for path, count in waiting.items() if not count)
    ordered: list[NirNode] = []
    while ready:
        path = ready.popleft()
        node = collected.nodes[path]
        ordered.append(replace(node, sources=tuple(sources[path])))
        for target in targets[path]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    if len(ordered) < len(waiting):
        raise GraphError(
            f"node {_on_cycle(sources, waiting)!r} feeds back into itself: recurrent networks are not supported"
        )
    return ordered


def _on_cycle(sources: dict[str, list[str]], waiting: dict[str, int]) -> str:
    """A node of a cycle: going back from any node that waits, by nodes that wait, one comes round."""
    path, seen = next(path for path, count in waiting.items() if count), set[str]()
    while path not in seen:
        seen.add(path)
        path = next(source for source in sources[path] if waiting[source])
    return path


def _join(path: str, name: str) -> str:
    """The path of a node inside a graph; GraphError where it is no name to be shown to anyone."""
    joined = f"{path}.{name}" if path else name
    if len(joined) > MOST_CHARACTERS or not joined.isprintable():
        raise GraphError(f"the name {shown(joined)} is too long or cannot be printed: rename the node")
    return joined


def _graph_label(path: str) -> str:
    return f"node {path!r} ({GRAPH})" if path else "the graph"
