"""No statement that a server sends to its database is put together from text: values travel as parameters."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import servers

FOLDER = Path(servers.__file__).parent
SENDS = {"execute", "executemany", "executescript", "exec_driver_sql", "scalar", "scalars", "text", "literal_column"}


def composed(tree: ast.AST) -> Iterator[int]:
    """Yield the line of each call that sends a text which is put together there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in SENDS and _is_composed(node.args[0]):
            yield node.lineno


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_composed(argument: ast.expr) -> bool:
    match argument:
        case ast.JoinedStr():
            return True
        case ast.BinOp(left=left, right=right):
            return any(isinstance(side, ast.JoinedStr | ast.Constant) for side in (left, right))
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "replace")):
            return True
        case _:
            return False


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_no_statement_is_put_together_from_text(path: Path):
    assert list(composed(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code", ['c.execute(f"SELECT {x}")', 'c.execute("SELECT " + x)', 'c.scalar(text("%s" % x))', 'text("{}".format(x))']
)
def test_a_statement_that_is_would_be_found(code: str):
    assert list(composed(ast.parse(code))) == [1]
