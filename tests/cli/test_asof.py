from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ipse import Client, Event, NotFound, PastHolder, Resolver, _native
from ipse.commands import asof

from tests.cli.command import ipse, one_line
from tests.server_process import ServerProcess

RULES = """
[workspace]
conflict = "transfer"
survivor = "oldest"
[namespaces.user]
limit = 1
login = true
[namespaces.card]
limit = 9
exclusive = true
"""
ROWS = b'time,value,note\n3,c,"a, b"\n4,c,\n1,c,x\n9,c,x\nnever,c,x'


def test_a_file_is_joined_to_the_people_of_then(server: ServerProcess, tmp_path: Path) -> None:
    with Client(server.address) as client:
        client.create_workspace("lent", rules_toml=RULES)
        first, second = (
            client.resolve(Event(identifiers={"user": user, "card": "c"}), workspace="lent")
            for user in ("1", "2")
        )
        moment = datetime(2001, 1, 1, tzinfo=UTC)
        moments: list[int | datetime] = [2, 3, moment]
        card: tuple[str, str | int] = ("card", "c")
        rows = [(card, each) for each in moments]
        then, now, before = client.lookup_as_of(rows, workspace="lent")
        assert then == PastHolder(first.profile_id, second.profile_id, 2)
        assert now == PastHolder(second.profile_id, second.profile_id, 3)
        assert before.error is not None
        assert before.error.reason == "PROFILE_NOT_FOUND"
        held = client.get_profile(identifier=("card", "c"), workspace="lent", as_of=2)
        assert held.profile_id == first.profile_id
        with pytest.raises(NotFound):
            client.get_profile(profile_id=second.profile_id, workspace="lent", as_of=2)
    file = tmp_path / "rows.csv"
    file.write_bytes(ROWS)
    words = ("asof", file, "--namespace", "card", "--workspace", "lent", "--address")
    done = ipse(*words, server.address)
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header == "time,value,note,profile_id,current_profile_id,sequence_number,why_not"
    one, other = first.profile_id, second.profile_id
    assert lines == [
        f'3,c,"a, b",{other},{other},3,',
        f"4,c,,,{other},,INVALID_FIELD",
        f"1,c,x,,{other},1,PROFILE_NOT_FOUND",
        f"9,c,x,,{other},,INVALID_FIELD",
        "never,c,x,,,,INVALID_FIELD",
    ]
    file.write_bytes(b"time,value\n2,c\n")
    done = ipse(*words, server.address, "--json")
    assert json.loads(done.stdout) == {
        "time": "2",
        "value": "c",
        "profile_id": one,
        "current_profile_id": other,
        "sequence_number": 2,
        "why_not": None,
    }
    done = ipse("asof", file, "--workspace", "lent", "--address", server.address)
    assert 'no column "namespace" among time, value' in one_line(done.stderr)


def test_rows_are_the_same_however_they_are_read() -> None:
    with Resolver() as resolver:
        resolver.resolve(Event(identifiers={"email": "a@x.com"}))
        text = b"".join(b"%d,email,a@x.com\n" % (number % 4) for number in range(2_500))
        rows = _native.PastRows(b"time,namespace,value", "", "value", "time", False)
        told = b"".join(asof.answers(rows, resolver.lookup_as_of_bytes, b"", io.BytesIO(text)))
    lines = told.decode().splitlines()
    assert [line.split(",")[0] for line in lines] == [str(n % 4) for n in range(2_500)]
    assert {line.split(",")[6] for line in lines if line.startswith("2")} == {""}
