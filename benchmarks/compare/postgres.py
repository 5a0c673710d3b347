"""PostgreSQL: a table of identifiers, one of merges, and a function that finds or merges.

Events of people who are known only read; others take one lock, so that two of them cannot make two
profiles of one person. Like the script for Redis it knows no rule but find-or-merge.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.compare import loadgen
from benchmarks.compare.redis import free_port
from benchmarks.compare.systems import Child, Missing, await_start, tool

SCHEMA = """
create table identifiers (value text, profile bigint not null);
create table merges (profile bigint primary key, survivor bigint not null);
create sequence profiles;

create function root(profile_ bigint) returns bigint language plpgsql as $$
declare
  next_ bigint;
begin
  loop
    select survivor into next_ from merges where profile = profile_;
    if next_ is null then return profile_; end if;
    profile_ := next_;
  end loop;
end $$;

create function find(values_ text[]) returns bigint language sql stable as $$
  select root(profile) from identifiers where value = values_[1]
$$;

create function resolve(values_ text[]) returns bigint language plpgsql as $$
declare
  known_ int;
  roots_ bigint[];
  survivor_ bigint;
begin
  for locked_ in 0..1 loop
    select count(*), array_agg(distinct root(profile)) into known_, roots_
      from identifiers where value = any(values_);
    if known_ = cardinality(values_) and cardinality(roots_) = 1 then return roots_[1]; end if;
    -- Another may have learnt the same meanwhile: look again, with nobody beside us.
    if locked_ = 0 then perform pg_advisory_xact_lock(1); end if;
  end loop;
  select coalesce(min(one), nextval('profiles')) into survivor_ from unnest(roots_) as one;
  insert into merges select one, survivor_ from unnest(roots_) as one where one <> survivor_;
  insert into identifiers select distinct one, survivor_ from unnest(values_) as one
    on conflict do nothing;
  return survivor_;
end $$;
"""
INDEX = "alter table identifiers add primary key (value); vacuum analyze identifiers;"
CONNECTIONS_MAX = 300


class Postgres(Child):
    """A server on a directory of its own; a user that is not root, which it demands, owns it."""

    protocol: ClassVar[dict[str, Any]] = {"protocol": "postgres"}
    #: At once, without waiting for who is connected.
    ended_by = signal.SIGINT

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._port = 0

    def start(self) -> None:
        program = _program("postgres")
        data = self.directory / "data"
        self.directory.mkdir(parents=True, exist_ok=True)
        if user := _user():
            shutil.chown(self.directory, user)
        subprocess.run(
            [_program("initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "-E", "UTF8"],
            stdout=subprocess.DEVNULL,
            check=True,
            **_as_user(self.directory),
        )
        self._port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": str(self.directory),
            "max_connections": str(CONNECTIONS_MAX),
            "shared_buffers": "2GB",
            "max_wal_size": "8GB",
            "jit": "off",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [program, "-D", str(data), *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **_as_user(self.directory),
        )
        self.pid, self.address = self._process.pid, f"127.0.0.1:{self._port}"
        await_start(self._process, self._is_up)
        self.ask(SCHEMA)

    def load(self, blocks: int) -> int:
        command = [*self._psql(), "-c", "copy identifiers from stdin"]
        blocks, _ = loadgen.feed("copy", blocks, command)
        for statement in (
            *INDEX.split("; "),
            f"select setval('profiles', {blocks * loadgen.BLOCK + 1})",
        ):
            self.ask(statement)
        return blocks

    def resident_bytes(self) -> int:
        """What it takes on disk: its memory is a cache, as large as one lets it be."""
        return int(self.ask("select pg_database_size('postgres')"))

    def ask(self, query: str) -> str:
        """What psql answers."""
        done = subprocess.run(
            [*self._psql(), "-c", query], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def _psql(self) -> list[str]:
        return [
            *(tool("psql"), "-h", "127.0.0.1", "-p", str(self._port), "-U", "bench"),
            *("-d", "postgres", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
        ]

    def _is_up(self) -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.ask("select 1") == "1"
        return False


def _program(name: str) -> str:
    """A program of the newest version that is installed; Debian keeps them off PATH."""
    return tool(name, *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))


def _user() -> str | None:
    """Whom to run it as; None: as who we are."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise Missing("there is no user `postgres` to run it as, and root may not") from None


def _as_user(directory: Path) -> dict[str, Any]:
    user = _user()
    return {"cwd": directory} | ({"user": user, "group": user, "extra_groups": []} if user else {})
