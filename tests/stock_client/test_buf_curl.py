"""`buf curl` knows nothing of ipse: reflection tells it the services, JSON goes in and out."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from google.rpc import error_details_pb2

from tests.server_process import ServerProcess

_IDENTITY = "ipse.v1.IdentityService"
_EMAIL = {"namespace": "email", "value": "ann@example.com"}
_DEVICE = {"namespace": "ios.id", "value": "d-7"}


def test_it_lists_the_services(server: ServerProcess) -> None:
    listed = _run(server, "--list-services", path="").stdout.split()
    ours = {_IDENTITY, "ipse.v1.HistoryService", "ipse.v1.AdminService"}
    assert ours | {"grpc.health.v1.Health"} <= set(listed)


def test_it_lists_the_methods(server: ServerProcess) -> None:
    listed = _run(server, "--list-methods", path="").stdout.split()
    methods = ("ResolveEvent", "ResolveEvents", "GetProfile", "BatchGetProfiles")
    assert {f"{_IDENTITY}/{method}" for method in methods} <= set(listed)


def test_it_resolves_events_and_reads_the_profile(server: ServerProcess) -> None:
    created = _call(server, "ResolveEvent", {"event": {"identifiers": [_EMAIL]}})["resolution"]
    assert created["decision"] == "DECISION_CREATED"

    joined = _call(server, "ResolveEvent", {"event": {"identifiers": [_EMAIL, _DEVICE]}})
    assert joined["resolution"]["decision"] == "DECISION_ATTACHED"
    assert joined["resolution"]["profileId"] == created["profileId"]

    for lookup in ({"profileId": created["profileId"]}, {"identifier": _DEVICE}):
        profile = _call(server, "GetProfile", {"lookup": lookup})["profile"]
        assert profile["profileId"] == created["profileId"]
        assert [held["identifier"] for held in profile["identifiers"]] == [_EMAIL, _DEVICE]


def test_it_resolves_a_raw_event(server: ServerProcess) -> None:
    raw = {"type": "identify", "userId": "u-1", "traits": {"email": "bob@example.com"}}
    encoded = base64.b64encode(json.dumps(raw).encode()).decode()
    answer = _call(server, "ResolveEvent", {"event": {"rawJson": encoded}})["resolution"]
    seen = {verdict["identifier"]["namespace"] for verdict in answer["verdicts"]}
    assert seen == {"user_id", "email"}


def test_it_decodes_a_refusal(server: ServerProcess) -> None:
    lookup = {"identifier": {"namespace": "email", "value": "nobody@example.com"}}
    error = _refusal(server, "GetProfile", {"lookup": lookup})
    assert error["code"] == "not_found"
    assert [info.reason for info in _error_infos(error)] == ["PROFILE_NOT_FOUND"]
    assert [info.domain for info in _error_infos(error)] == ["ipse"]


def test_it_is_told_of_a_method_that_does_not_exist(server: ServerProcess) -> None:
    run = _run(server, "--data", "{}", path=f"{_IDENTITY}/NoSuchMethod")
    assert run.returncode != 0
    assert "NoSuchMethod" in run.stderr


def _call(server: ServerProcess, method: str, request: dict[str, Any]) -> dict[str, Any]:
    run = _run(server, "--data", json.dumps(request), path=f"{_IDENTITY}/{method}")
    assert run.returncode == 0, run.stderr
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def _refusal(server: ServerProcess, method: str, request: dict[str, Any]) -> dict[str, Any]:
    run = _run(server, "--data", json.dumps(request), path=f"{_IDENTITY}/{method}")
    assert run.returncode != 0, run.stdout
    error: dict[str, Any] = json.loads(run.stderr)
    return error


def _error_infos(error: dict[str, Any]) -> list[error_details_pb2.ErrorInfo]:
    """The details as buf prints them: type, and value in unpadded base64."""
    return [
        error_details_pb2.ErrorInfo.FromString(base64.b64decode(detail["value"] + "=="))
        for detail in error["details"]
        if detail["type"].endswith("google.rpc.ErrorInfo")
    ]


def _run(server: ServerProcess, *arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    """Runs `buf curl` in an empty directory, so that no schema but reflection's is near."""
    address = f"http://{server.address}/{path}".rstrip("/")
    command = [_buf(), "curl", "--protocol", "grpc", "--http2-prior-knowledge"]
    return subprocess.run(
        [*command, *arguments, address],
        cwd=server.data_dir.parent,
        env=os.environ | {"BUF_CACHE_DIR": str(server.data_dir.parent / "buf-cache")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _buf() -> str:
    """The `buf` that was installed beside this Python; a missing one is a failed test."""
    beside = Path(sys.executable).with_name("buf")
    found = str(beside) if beside.exists() else shutil.which("buf")
    assert found is not None, "install buf-bin (it is among the development dependencies)"
    return found
