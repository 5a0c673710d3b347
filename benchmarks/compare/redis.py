"""Redis: each identifier a key that holds a profile's number, and a script that finds or merges.

    VALUE        -> number of a profile
    m:NUMBER     -> number of the profile that this one was merged into

No namespaces, limits, blocked values or history: as little as the task can be done with.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.compare import loadgen
from benchmarks.compare.systems import Child, await_start, tool

_ROOT = """
local function root(profile)
  while true do
    local survivor = redis.call('GET', 'm:' .. profile)
    if not survivor then return profile end
    profile = survivor
  end
end
"""
RESOLVE = f"""{_ROOT}
local found, survivor, roots = redis.call('MGET', unpack(KEYS)), nil, {{}}
for i = 1, #KEYS do
  if found[i] and not roots[found[i]] then
    local one = tonumber(root(found[i]))
    roots[found[i]] = one
    if not survivor or one < survivor then survivor = one end
  end
end
if not survivor then survivor = redis.call('INCR', 'profiles') end
for _, one in pairs(roots) do
  if one ~= survivor then redis.call('SET', 'm:' .. one, survivor) end
end
for i = 1, #KEYS do
  if not found[i] then redis.call('SET', KEYS[i], survivor) end
end
return survivor
"""
FIND = f"""{_ROOT}
local profile = redis.call('GET', KEYS[1])
return profile and tonumber(root(profile))
"""


class Redis(Child):
    """redis-server on a directory of its own."""

    protocol: ClassVar[dict[str, Any]] = {
        "protocol": "redis",
        "resolve_sha": hashlib.sha1(RESOLVE.encode(), usedforsecurity=False).hexdigest(),
        "find_sha": hashlib.sha1(FIND.encode(), usedforsecurity=False).hexdigest(),
    }

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._port = 0

    def start(self) -> None:
        program = tool("redis-server")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        settings = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            # Its rewriting would be of our filling, not of the phases.
            "auto-aof-rewrite-percentage": "0",
        }
        flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL)
        self.pid, self.address = self._process.pid, f"127.0.0.1:{self._port}"
        await_start(self._process, self._is_up)
        for script, key in ((RESOLVE, "resolve_sha"), (FIND, "find_sha")):
            assert self.ask("SCRIPT", "LOAD", script) == self.protocol[key]

    def load(self, blocks: int) -> int:
        command = [tool("redis-cli"), "-p", str(self._port), "--pipe"]
        blocks, _ = loadgen.feed("set", blocks, command)
        self.ask("SET", "profiles", str(blocks * loadgen.BLOCK + 1))
        return blocks

    def set_promise(self, appendfsync: str) -> None:
        """When its answers are on disk: `always` before they are sent, `everysec` soon after."""
        self.ask("CONFIG", "SET", "appendfsync", appendfsync)

    def ask(self, *command: str) -> str:
        """What redis-cli answers."""
        done = subprocess.run(
            [tool("redis-cli"), "-p", str(self._port), *command],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def _is_up(self) -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.ask("PING") == "PONG"
        return False


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
