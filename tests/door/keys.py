"""Tokens for tests: what a caller shows, and the entry that the server has of it."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Key:
    """One token, with all that its entry says."""

    name: str
    role: str
    workspaces: tuple[str, ...] = ()
    source: str = ""
    token: str = field(default_factory=lambda: "ipse_" + secrets.token_urlsafe(32))

    @property
    def bearer(self) -> bytes:
        """What the engine is shown."""
        return f"Bearer {self.token}".encode()

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The same as gRPC takes it."""
        return (("authorization", f"Bearer {self.token}"),)

    @property
    def entry(self) -> str:
        """Its table in the file."""
        lines = [f"[tokens.{self.name}]", f'role = "{self.role}"']
        if self.workspaces:
            lines.append(f"workspaces = {json.dumps(self.workspaces)}")
        if self.source:
            lines.append(f'source = "{self.source}"')
        digest = hashlib.sha256(self.token.encode()).hexdigest()
        return "\n".join([*lines, f'sha256 = "{digest}"', ""])


def file_of(*keys: Key) -> str:
    """The text of a file that has these."""
    return "\n".join(key.entry for key in keys)
