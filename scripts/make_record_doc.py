"""Write the list of keys in docs/record.md from the record's JSON Schema.

python scripts/make_record_doc.py            writes it
python scripts/make_record_doc.py --check    exit 1 where it is not what it would be
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.record import record_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = Path(__file__).resolve().parents[1] / "docs" / "record.md"
BEGIN = "<!-- keys: made by scripts/make_record_doc.py from the JSON Schema -->\n"
END = "<!-- end of keys -->\n"

Node = dict[str, Any]


def record_doc() -> str:
    """Return the page with its list of keys as the schema has them."""
    head, rest = PATH.read_text(encoding="utf-8").split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{_keys(record_schema())}\n{END}{tail}"


def _keys(schema: Node) -> str:
    lines = ["| Key | Values | Meaning |", "|---|---|---|"]
    for key, node in _walk(schema, schema, ""):
        lines.append(f"| `{key}` | {_values(node, schema)} | {_text(node, schema, 'description')} |")
    return "\n".join(lines) + "\n"


def _walk(node: Node, root: Node, prefix: str) -> Iterator[tuple[str, Node]]:
    """Yield every key below a node with its schema, as `predicates.stratum_1.holds` or `lesions[].voxels`."""
    for part in _parts(node, root):
        for key, child in part.get("properties", {}).items():
            yield prefix + key, child
            yield from _walk(child, root, f"{prefix}{key}.")
        items = part.get("items")
        if isinstance(items, dict):
            yield from _walk(items, root, f"{prefix.removesuffix('.')}[].")


def _parts(node: Node, root: Node) -> list[Node]:
    """Return a schema's alternatives and what it refers to, references followed."""
    parts = [node]
    if "$ref" in node:
        parts += _parts(root["$defs"][node["$ref"].rsplit("/", 1)[1]], root)
    for key in ("oneOf", "anyOf", "allOf"):
        for inner in node.get(key, ()):
            parts += _parts(inner, root)
    return parts


def _text(node: Node, root: Node, key: str) -> str:
    found = next((part[key] for part in _parts(node, root) if key in part), "")
    return str(found).replace("|", "\\|")


def _values(node: Node, root: Node) -> str:
    """Say what a key can hold: its words, or the kinds of JSON value."""
    words: list[str] = []
    for part in _parts(node, root):
        if "const" in part:
            words.append(f'`"{part["const"]}"`')
        for value in part.get("enum", ()):
            words.append("null" if value is None else f"`{value}`")
        kinds = part.get("type", ())
        words += [kinds] if isinstance(kinds, str) else kinds
    return ", ".join(dict.fromkeys(words))


def main() -> None:
    """Run the script."""
    text = record_doc()
    if sys.argv[1:] == ["--check"]:
        sys.exit(PATH.read_text(encoding="utf-8") != text)
    PATH.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
