"""`ipse export`, against a live server."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ipse as library
import pytest
from ipse.commands import export
from ipse.model import ImportedProfile

from tests.cli.command import ipse, one_line
from tests.server_process import ServerProcess

START = datetime(2021, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)
END = START + timedelta(days=1)
FORMER = 'old, "Ann"\r\nй'
WORKSPACE = "people"
RULES = """
[workspace]
trigger = "seen_together"
conflict = "keep_first"
attribute_history = true
merges_max = 2000
identifiers_max = 2000

[namespaces.user_id]
priority = 1
kind = "person"
limit = 2000
login = true
"""


@dataclass(frozen=True)
class World:
    """Ann, a device whose history is hers, and the profile that she is merged into since."""

    address: str
    device: str
    ann: str
    survivor: str
    imported: str
    sequence_number: int

    def export(self, *words: str | Path) -> str:
        done = ipse("export", *words, "--address", self.address, "--workspace", WORKSPACE)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    @property
    def id_map(self) -> list[tuple[str, str, str]]:
        return [
            (self.device, "current", self.device),
            (self.survivor, "current", self.survivor),
            (self.ann, "absorbed", self.survivor),
            (self.imported, "current", self.imported),
            (FORMER, "former", self.imported),
        ]

    @property
    def attribution(self) -> dict[str, Any]:
        return {
            "source_profile_id": self.device,
            "destination_profile_id": self.ann,
            "start_time": "2021-01-01T00:00:00.250Z",
            "end_time": "2021-01-02T00:00:00.250Z",
            "sequence_number": self.sequence_number,
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        ServerProcess(tmp_path_factory.mktemp("export") / "data") as running,
        library.Client(running.address) as client,
    ):
        yield teach(client, running.address)


def teach(client: library.Client, address: str) -> World:
    client.create_workspace(WORKSPACE, rules_toml=RULES)
    # Merged profiles keep the id of the oldest.
    survivor, device, ann = (
        client.resolve(library.Event(identifiers={"user_id": name}), workspace=WORKSPACE).profile_id
        for name in ("anna", "device", "ann")
    )
    said = client.attribute_history(
        device, ann, start_time=START, end_time=END, workspace=WORKSPACE
    )
    assert said.applied
    client.merge_profiles(survivor, [ann], workspace=WORKSPACE)
    assert client.get_profile(ann, workspace=WORKSPACE).profile_id == survivor
    person = ImportedProfile(former_id=FORMER, identifiers={"user_id": "bob"})
    (brought,) = client.import_profiles([person], workspace=WORKSPACE)
    assert isinstance(brought, library.Resolution)
    return World(address, device, ann, survivor, brought.profile_id, said.sequence_number)


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_the_id_map_leads_from_every_id_to_its_profile(world: World) -> None:
    header, *rows = table(world.export("id_map"))
    assert header == ["id", "kind", "profile_id"]
    assert sorted(map(tuple, rows)) == sorted(world.id_map)


def test_the_id_map_as_json_lines(world: World) -> None:
    rows = map(json.loads, world.export("id_map", "--format", "json").splitlines())
    assert sorted((row["id"], row["kind"], row["profile_id"]) for row in rows) == sorted(
        world.id_map
    )


def test_an_attribution_is_there_once_though_its_destination_is_absorbed(world: World) -> None:
    as_json = world.export("attributions", "--format", "json")
    assert json.loads(one_line(as_json)) == world.attribution
    header, row = table(world.export("attributions"))
    assert header == list(world.attribution)
    assert row == [str(value) for value in world.attribution.values()]


def test_a_file_is_written_anew(world: World, tmp_path: Path) -> None:
    out = tmp_path / "map.csv"
    out.write_text("what was there before\n" * 100)
    assert world.export("id_map", "--out", out) == ""
    assert out.read_bytes().decode() == world.export("id_map")


def test_a_place_that_cannot_be_written_is_named(world: World, tmp_path: Path) -> None:
    out = tmp_path / "not" / "there"
    done = ipse("export", "id_map", "--address", world.address, "--out", out)
    assert done.returncode == 1
    assert one_line(done.stderr) == f"ipse: error: cannot write {out}: No such file or directory"


def test_an_unknown_workspace_leaves_the_file_as_it_was(world: World, tmp_path: Path) -> None:
    out = tmp_path / "map.csv"
    out.write_text("yesterday's")
    done = ipse("export", "id_map", "--address", world.address, "--workspace", "none", "--out", out)
    assert done.returncode == 1
    assert one_line(done.stderr).startswith("ipse: error: WORKSPACE_NOT_FOUND: ")
    assert out.read_text() == "yesterday's"


def test_an_empty_workspace_is_a_header(world: World) -> None:
    done = ipse("export", "attributions", "--address", world.address)
    assert (done.returncode, done.stdout) == (0, ",".join(export.COLUMNS["attributions"]) + "\n")


def test_what_profiles_do_not_list_is_said(world: World) -> None:
    with library.Client(world.address) as client:
        client.create_workspace("crowd", rules_toml=RULES)
        people = [library.Event(identifiers={"user_id": f"u-{n}"}) for n in range(1_002)]
        list(client.resolve_many(people, workspace="crowd"))
        ids = [each.profile_id for each in client.list_profiles(workspace="crowd")]
        for first in range(1, len(ids), 64):
            client.merge_profiles(ids[0], ids[first : first + 64], force=True, workspace="crowd")
        survivor = client.get_profile(ids[0], workspace="crowd")
    assert survivor.merge_count == 1_001
    done = ipse("export", "id_map", "--address", world.address, "--workspace", "crowd")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1 + 1 + 1_000
    assert survivor.profile_id in one_line(done.stderr)
