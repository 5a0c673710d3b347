"""Small pictures as text: nodes and lines for Graphviz or Mermaid. Knows not what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FORMATS: Final = ("dot", "mermaid")


@dataclass(slots=True)
class Drawing:
    """Nodes by their labels, and labelled lines between them."""

    nodes: list[str] = field(default_factory=list)
    edges: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def join(self, a: str, b: str, label: str, *, dashed: bool = False) -> None:
        """Adds a line, and its ends if they are new."""
        self.nodes.extend(node for node in (a, b) if node not in self.nodes)
        self.edges.append((a, b, label, dashed))

    def as_text(self, form: str) -> str:
        """The picture in one of the formats."""
        return self._dot() if form == "dot" else self._mermaid()

    def _dot(self) -> str:
        lines = ["graph why {", "  node [shape=box]"]
        lines += [f"  {_quoted(node)}" for node in self.nodes]
        for a, b, label, dashed in self.edges:
            style = ", style=dashed" if dashed else ""
            lines.append(f"  {_quoted(a)} -- {_quoted(b)} [label={_quoted(label)}{style}]")
        return "\n".join([*lines, "}"])

    def _mermaid(self) -> str:
        names = {node: f"n{number}" for number, node in enumerate(self.nodes)}
        lines = ["graph LR"]
        lines += [f'  {name}["{_entities(node)}"]' for node, name in names.items()]
        for a, b, label, dashed in self.edges:
            line = "-.-" if dashed else "---"
            lines.append(f'  {names[a]} {line}|"{_entities(label)}"| {names[b]}')
        return "\n".join(lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _entities(text: str) -> str:
    """Mermaid reads entities by number in quoted text, where its own signs would end it."""
    return "".join(f"#{ord(sign)};" if sign in '"#<>&`' else sign for sign in text)
