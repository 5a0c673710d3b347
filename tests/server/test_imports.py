"""What an import costs: the embedded resolver never loads gRPC, and `import ipse` loads nothing."""

from __future__ import annotations

import subprocess
import sys

import ipse
import pytest


def test_import_ipse_loads_neither_grpc_nor_protobuf_nor_the_engine() -> None:
    assert loaded("import ipse") == set()


def test_the_embedded_resolver_never_loads_grpc() -> None:
    journey = """
import ipse
with ipse.Resolver() as resolver:
    resolver.resolve(ipse.Event(identifiers={"email": "ann@example.com"}))
    try:
        resolver.get_profile(profile_id="nobody")
    except ipse.IpseError:
        pass
"""
    assert "grpc" not in loaded(journey)


@pytest.mark.parametrize("name", ipse.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ipse, name) is not None
    assert name in dir(ipse)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'resolve'"):
        ipse.resolve  # noqa: B018


def loaded(program: str) -> set[str]:
    """The costly modules that a program has loaded at its end."""
    costly = {"grpc", "google.protobuf", "ipse._native", "asyncio"}
    ending = f"\nimport sys\nprint(*sorted({costly!r} & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", program + ending], capture_output=True, text=True, check=True
    )
    return set(ended.stdout.split())
