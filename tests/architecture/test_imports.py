"""The import arrows of the package point one way.

`LAYERS` lists its parts from the bottom to the top. A part may import itself and anything in a lower layer, and within
its own layer only what `SIBLINGS` allows. Imports inside functions count too: laziness does not turn an arrow round.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "kernels"}),
    frozenset({"graph", "files", "user_code"}),
    frozenset({"ops", "numpy_files"}),
    frozenset({"spec"}),
    frozenset({"interpreter", "lowering", "graph_io", "nn", "data"}),
    frozenset({"pipelined"}),
    frozenset({"artifact", "engine", "interop", "lava_environment", "zoo"}),
    frozenset({"frontend", "quantize", "training", "exporters", "hw_models", "certify", "report"}),
    frozenset({"api", "baselines", "simulation", "doctor", "sweep"}),
    frozenset({"terminal"}),
    frozenset({"commands"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
SIBLINGS: dict[str, frozenset[str]] = {
    "lowering": frozenset({"interpreter"}),
    "certify": frozenset({"exporters"}),  # runs every form
    "report": frozenset({"hw_models", "certify"}),  # shows what they return
    "simulation": frozenset({"api"}),
    "frontend": frozenset({"quantize"}),  # reads the files that it writes
}
# interop holds node maps for libraries that are themselves built on torch.
TORCH_USERS = frozenset({"frontend", "nn", "quantize", "engine", "training", "interop"})
EXPORTERS_SHARED = frozenset({"base"})


class _WithoutTypeChecking(ast.NodeTransformer):
    """Drops what only type checkers read."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse
        return self.generic_visit(node)


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names that are imported; ``from a import b`` gives ``a.b``, which may be a module or a name in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _arrows(modules: dict[str, Path], run_time_only: bool = False) -> Iterator[tuple[str, str]]:
    for name, path in sorted(modules.items()):
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        tree: ast.AST = ast.parse(path.read_text(encoding="utf-8"), str(path))
        tree = _WithoutTypeChecking().visit(tree) if run_time_only else tree
        yield from ((name, target) for target in _imported(tree, package))


def _part(dotted: str) -> str:
    """The part of the package that a dotted name belongs to; '' for the package itself."""
    return dotted.split(".")[1] if "." in dotted else ""


def _inner_arrows(modules: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Arrows between modules of the package; a name that the root itself defines (a version) is not an arrow."""
    parts = {_part(name) for name in modules}
    for name, target in _arrows(modules):
        if target.split(".")[0] == "snn2chip" and _part(target) in parts:
            yield name, target


def _layer(part: str) -> int:
    return next((index for index, layer in enumerate(LAYERS) if part in layer), len(LAYERS))


def test_every_part_has_its_layer(modules: dict[str, Path]) -> None:
    placed = {part for layer in LAYERS for part in layer} | {""}
    unplaced = {_part(name) for name in modules} - placed
    assert not unplaced, f"give these a place in LAYERS: {sorted(unplaced)}"


def test_arrows_point_down(modules: dict[str, Path]) -> None:
    wrong = [
        f"{name} imports {target}"
        for name, target in _inner_arrows(modules)
        if _part(name) and _part(target) and not _allowed(_part(name), _part(target))
    ]
    assert not wrong, "\n".join(wrong)


def _allowed(source: str, target: str) -> bool:
    return source == target or _layer(target) < _layer(source) or target in SIBLINGS.get(source, frozenset())


def test_the_package_root_imports_only_what_is_light(modules: dict[str, Path]) -> None:
    wrong = [target for name, target in _inner_arrows(modules) if not _part(name) and _layer(_part(target)) > 0]
    assert not wrong, f"snn2chip/__init__.py imports {wrong}"


def test_only_the_torch_parts_import_torch(modules: dict[str, Path]) -> None:
    wrong = [
        f"{name} imports {target}"
        for name, target in _arrows(modules, run_time_only=True)
        if target.split(".")[0] == "torch" and _part(name) not in TORCH_USERS
    ]
    assert not wrong, "\n".join(wrong)


def test_exporters_do_not_import_one_another(modules: dict[str, Path]) -> None:
    wrong = [
        f"{name} imports {target}"
        for name, target in _inner_arrows(modules)
        if _target_form(name) and _target_form(target) and _target_form(name) != _target_form(target)
    ]
    assert not wrong, "\n".join(wrong)


def _target_form(dotted: str) -> str:
    """'nir' for snn2chip.exporters.nir.anything; '' outside the exporters and for what they share."""
    parts = dotted.split(".")
    if parts[1:2] != ["exporters"] or len(parts) < 3 or parts[2] in EXPORTERS_SHARED:
        return ""
    return parts[2]


def test_kernels_need_nothing_but_numpy(modules: dict[str, Path]) -> None:
    targets = {target.split(".")[0] for name, target in _arrows(modules) if name == "snn2chip.kernels"}
    assert targets <= {"__future__", "typing", "collections", "dataclasses", "numpy"}


def test_an_upward_arrow_is_seen(tmp_path: Path) -> None:
    (tmp_path / "add").write_text("from ..cli import main")
    (tmp_path / "graph").write_text("def f():\n    from snn2chip import report")
    arrows = list(_arrows({"snn2chip.ops.add": tmp_path / "add", "snn2chip.graph": tmp_path / "graph"}))
    assert arrows == [("snn2chip.graph", "snn2chip.report"), ("snn2chip.ops.add", "snn2chip.cli.main")]
    assert not any(_allowed(_part(source), _part(target)) for source, target in arrows)


def test_imports_for_type_checkers_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "api").write_text("if TYPE_CHECKING:\n    import torch\nimport numpy")
    modules = {"snn2chip.api": tmp_path / "api"}
    assert list(_arrows(modules, run_time_only=True)) == [("snn2chip.api", "numpy")]
    assert len(list(_arrows(modules))) == 2
