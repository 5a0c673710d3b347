"""Every method against every wrong token, role, workspace and source, on the engine itself.

The engine is what decides, for every transport; that the server hands it what callers sent is
shown in `test_live_server`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from ipse import _native
from ipse.errors import Code
from ipse.v1 import admin_pb2, identity_pb2

from tests.door.keys import Key, file_of
from tests.door.requests import (
    METHODS,
    REQUESTS,
    ROLES,
    SERVER_WIDE,
    WITHOUT_A_PLACE,
    code_of,
    from_source,
    has_read_only,
    request,
    short_field,
    workspace_field,
)

RANKS = ("read", "write", "admin")
READ, WRITE, ADMIN = (Key(role, role) for role in RANKS)
MINE = Key("mine", "admin", ("mine",))
TWO = Key("two", "admin", ("mine", "theirs"))
WITH_DEFAULT = Key("with-default", "admin", ("mine", "default"))
GONE = Key("gone", "admin", ("gone",))
WEB = Key("web", "admin", source="web")
KEYS = (READ, WRITE, ADMIN, MINE, TWO, WITH_DEFAULT, GONE, WEB)

WRONG = {
    "none": None,
    "empty": b"",
    "the token alone": ADMIN.token.encode(),
    "another scheme": b"Basic " + ADMIN.token.encode(),
    "no token": b"Bearer ",
    "two spaces": b"Bearer  " + ADMIN.token.encode(),
    "upper case": b"Bearer " + ADMIN.token.upper().encode(),
    "lower case": b"Bearer " + ADMIN.token.lower().encode(),
    "one letter less": ADMIN.bearer[:-1],
    "one letter more": ADMIN.bearer + b"A",
    "twice": ADMIN.bearer + b", " + ADMIN.bearer,
    "a good one and a bad one": b"Bearer x, " + ADMIN.bearer,
    "a line more": ADMIN.bearer + b"\r\n",
    "huge": b"Bearer " + b"a" * 1_000_000,
    "binary": b"Bearer " + bytes(range(256)),
    "the hash that is stored": b"Bearer "
    + ADMIN.entry.rpartition('sha256 = "')[2].partition('"')[0].encode(),
    "the name": b"Bearer admin",
}


@pytest.fixture(scope="module")
def engine() -> Iterator[_native.Engine]:
    """An engine with tokens, Ann and Bob in `default`, `mine` and `theirs`."""
    engine = _native.Engine.open(None, tokens=file_of(*KEYS))
    for workspace in ("mine", "theirs"):
        new = admin_pb2.CreateWorkspaceRequest(name=workspace)
        _good(engine, "/ipse.v1.AdminService/CreateWorkspace", new.SerializeToString())
    for workspace in ("default", "mine", "theirs"):
        for value in ("ann", "bob"):
            message = identity_pb2.ResolveEventRequest(workspace=workspace)
            message.event.identifiers.add(namespace="user_id", value=value)
            _good(engine, "/ipse.v1.IdentityService/ResolveEvent", message.SerializeToString())
    yield engine
    engine.close()


def test_every_method_has_a_role_and_a_request() -> None:
    assert {name: role for name, role, _, _ in _native.methods()} == {
        full_name: ROLES[method.name] for full_name, method in METHODS.items()
    }
    assert ROLES.keys() == REQUESTS.keys() == {method.name for method in METHODS.values()}
    nowhere = {m.name for name, m in METHODS.items() if workspace_field(name) is None}
    assert nowhere == SERVER_WIDE | WITHOUT_A_PLACE
    writes = {m.name for name, m in METHODS.items() if has_read_only(name)} - {"SetRules"}
    # Asking what an erasure would do is the business of those who may erase.
    erasures = {"DeleteProfile", "ForgetIdentifier", "DeleteWorkspace"}
    assert writes - erasures == {name for name, role in ROLES.items() if role == "write"}


def test_the_requests_are_good() -> None:
    engine = _native.Engine.open(None)
    for workspace in ("ann", "bob"):
        message = identity_pb2.ResolveEventRequest()
        message.event.identifiers.add(namespace="user_id", value=workspace)
        engine.call("/ipse.v1.IdentityService/ResolveEvent", message.SerializeToString())
    for method in METHODS:
        _, code, payload = engine.call(method, request(method))
        # In memory there is no file to write.
        in_files = method.endswith(("/Checkpoint", "/Backup"))
        expected = Code.UNAVAILABLE if in_files else code_of(method)
        assert code == expected, (method, payload)
    engine.close()


@pytest.mark.parametrize("method", METHODS)
def test_nobody_gets_in_without_a_token(engine: _native.Engine, method: str) -> None:
    before = _state(engine)
    for what, authorization in WRONG.items():
        for bytes_sent in (request(method), b"", b"\xff", b"\0" * 20_000_000):
            answer = engine.call(method, bytes_sent, None, authorization)
            assert _refusal(answer) == (Code.UNAUTHENTICATED, "UNAUTHENTICATED"), what
            assert answer[0] == 0
        refused = engine.check_caller(method, authorization)
        assert refused is not None, what
        assert refused[0] == Code.UNAUTHENTICATED
        assert ADMIN.token.encode() not in refused[1]
        assert engine.audited(method, request(method), authorization)[0] is None
    assert _state(engine) == before


def test_a_method_that_is_not_there_tells_a_stranger_nothing(engine: _native.Engine) -> None:
    method = "/ipse.v1.IdentityService/Nothing"
    assert _refusal(engine.call(method, b""))[0] == Code.UNAUTHENTICATED
    assert _refusal(engine.call(method, b"", None, READ.bearer))[0] == Code.UNIMPLEMENTED


def test_the_scheme_is_a_word_in_any_case(engine: _native.Engine) -> None:
    for scheme in (b"bearer ", b"BEARER "):
        assert engine.check_caller(None, scheme + READ.token.encode()) is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("key", [READ, WRITE, ADMIN], ids=RANKS)
def test_a_role_does_what_it_may_and_no_more(engine: _native.Engine, method: str, key: Key) -> None:
    needed = ROLES[METHODS[method].name]
    suffices = RANKS.index(key.role) >= RANKS.index(needed)
    before = _state(engine)
    if not suffices:
        expected = (Code.PERMISSION_DENIED, "PERMISSION_DENIED")
        assert _refusal(engine.call(method, request(method), None, key.bearer)) == expected
        if needed == "admin":
            refused = engine.check_caller(method, key.bearer)
            assert refused is not None
            assert refused[0] == Code.PERMISSION_DENIED
    else:
        assert engine.check_caller(method, key.bearer) is None
    if has_read_only(method):
        asked = engine.call(method, request(method, read_only=True), None, key.bearer)
        denied = needed == "admin" and not suffices
        assert _refusal(asked)[0] == (Code.PERMISSION_DENIED if denied else code_of(method))
        # The last of two values counts, here as with the method: a question that is taken back.
        both = request(method, read_only=True) + _read_only(method, value=False)
        answer = engine.call(method, both, None, key.bearer) if not suffices else None
        assert answer is None or _refusal(answer)[0] == Code.PERMISSION_DENIED
    assert _state(engine) == before


@pytest.mark.parametrize("method", METHODS)
def test_another_workspace_is_refused_alike_whether_it_exists(
    engine: _native.Engine, method: str
) -> None:
    field = workspace_field(method)
    if field is None:
        expected = Code.PERMISSION_DENIED if METHODS[method].name in SERVER_WIDE else Code.OK
        assert _refusal(engine.call(method, request(method), None, MINE.bearer))[0] == expected
        return
    before = _state(engine)
    refusals = set()
    for name in ("theirs", "default", "nowhere", "mine ", "MINE", "mine\0", "\N{KELVIN SIGN}"):
        for sent in (
            request(method, **{field: name}),
            # The last of two values counts.
            request(method, **{field: "mine"}) + short_field(1, name.encode()),
        ):
            answer = engine.call(method, sent, None, MINE.bearer)
            assert _refusal(answer) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED"), name
            refusals.add(answer)
    assert len(refusals) == 1
    assert _state(engine) == before


@pytest.mark.parametrize("method", METHODS)
def test_a_workspace_that_is_not_named_is_the_only_one_of_the_token(
    engine: _native.Engine, method: str
) -> None:
    field = workspace_field(method)
    if field is None or METHODS[method].name == "CreateWorkspace":
        return
    before = _state(engine)
    answer = engine.call(method, request(method, **{field: ""}), None, GONE.bearer)
    assert _refusal(answer) == (Code.NOT_FOUND, "WORKSPACE_NOT_FOUND")
    assert _info(answer).metadata["workspace"] == "gone"
    several = engine.call(method, request(method, **{field: ""}), None, TWO.bearer)
    assert _refusal(several)[0] == Code.PERMISSION_DENIED
    assert _state(engine) == before
    for name in ("mine", "default", ""):
        answer = engine.call(method, request(method, **{field: name}), None, WITH_DEFAULT.bearer)
        # In memory there is nothing to watch.
        expected = (Code.OK, Code.NOT_FOUND, Code.FAILED_PRECONDITION)
        assert _refusal(answer)[0] in expected, (name, answer)


def test_a_workspace_is_created_by_those_whose_it_is(engine: _native.Engine) -> None:
    method = "/ipse.v1.AdminService/CreateWorkspace"
    assert _refusal(engine.call(method, request(method, name=""), None, GONE.bearer)) == (
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
    )
    refused = engine.call(method, request(method, name="new"), None, GONE.bearer)
    assert _refusal(refused)[0] == Code.PERMISSION_DENIED
    exists = engine.call(method, request(method, name="mine"), None, MINE.bearer)
    assert _refusal(exists)[0] == Code.ALREADY_EXISTS


@pytest.mark.parametrize("method", METHODS)
def test_another_source_than_the_token_s_is_refused(engine: _native.Engine, method: str) -> None:
    if from_source(method, "web") is None:
        assert ROLES[METHODS[method].name] != "write", "a write that says not where it comes from"
        return
    before = _state(engine)
    for source in ("app", "WEB", "web ", "we", "webb"):
        answer = engine.call(method, from_source(method, source) or b"", None, WEB.bearer)
        assert _refusal(answer) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED"), source
    assert _state(engine) == before
    for source in ("web", ""):
        sent = from_source(method, source) or b""
        code, _ = _refusal(engine.call(method, sent, None, WEB.bearer))
        assert code in (Code.OK, Code.NOT_FOUND)


@pytest.mark.parametrize("method", METHODS)
def test_bytes_that_are_no_message_are_refused_as_that(engine: _native.Engine, method: str) -> None:
    for key in (ADMIN, WEB, WITH_DEFAULT):
        for junk in (b"\xff", b"\x0a\x05abc", b"\x08", b"\x0a\x02\xff\xfe", b"\x12\x03\x22\x01"):
            answer = engine.call(method, junk, None, key.bearer)
            plain = _refusal(answer)[1]
            # In memory there is no snapshot to write.
            allowed = {"MALFORMED_REQUEST", "PERMISSION_DENIED", "INVALID_FIELD", "NOT_SERVING", ""}
            assert plain in allowed, junk


def test_an_engine_without_tokens_asks_for_none_and_takes_none_later() -> None:
    engine = _native.Engine.open(None)
    method = "/ipse.v1.AdminService/GetStats"
    assert engine.call(method, b"")[1] == Code.OK
    assert engine.call(method, b"", None, b"Bearer anything")[1] == Code.OK
    engine.replace_tokens(file_of(ADMIN))
    assert engine.call(method, b"")[1] == Code.OK
    engine.close()


def test_a_file_without_tokens_lets_nobody_in() -> None:
    engine = _native.Engine.open(None, tokens="")
    assert engine.call("/ipse.v1.AdminService/GetStats", b"")[1] == Code.UNAUTHENTICATED
    engine.close()


def test_tokens_that_were_replaced_are_refused_from_then_on() -> None:
    method = "/ipse.v1.AdminService/GetStats"
    engine = _native.Engine.open(None, tokens=file_of(ADMIN))
    assert engine.call(method, b"", None, ADMIN.bearer)[1] == Code.OK
    newer = Key("newer", "admin")
    with pytest.raises(ValueError, match="role: must be read, write or admin"):
        engine.replace_tokens(newer.entry.replace('"admin"', '"all"'))
    assert engine.call(method, b"", None, ADMIN.bearer)[1] == Code.OK
    engine.replace_tokens(file_of(newer))
    assert engine.call(method, b"", None, ADMIN.bearer)[1] == Code.UNAUTHENTICATED
    assert engine.call(method, b"", None, newer.bearer)[1] == Code.OK
    engine.close()


def test_an_audit_names_token_and_workspace_and_nothing_else(engine: _native.Engine) -> None:
    method = "/ipse.v1.AdminService/GetRules"
    for name, key, expected in (
        ("", ADMIN, "default"),
        ("", MINE, "mine"),
        ("theirs", MINE, "theirs"),
        ("ann@example.com", ADMIN, None),
        ("a\nb", ADMIN, None),
    ):
        sent = request(method, workspace=name)
        assert engine.audited(method, sent, key.bearer) == (key.name, expected)
    assert engine.audited("/ipse.v1.AdminService/GetStats", b"", ADMIN.bearer) == ("admin", None)
    assert engine.audited(method, b"\xff", ADMIN.bearer) == ("admin", None)


def _good(engine: _native.Engine, method: str, sent: bytes) -> None:
    _, code, payload = engine.call(method, sent, None, ADMIN.bearer)
    assert code == Code.OK, payload


def _state(engine: _native.Engine) -> list[tuple[str, int, str]]:
    _, code, payload = engine.call("/ipse.v1.AdminService/GetStats", b"", None, ADMIN.bearer)
    assert code == Code.OK
    stats = admin_pb2.GetStatsResponse.FromString(payload)
    return [(each.name, each.sequence_number, each.state_hash) for each in stats.workspaces]


def _refusal(answer: tuple[int, int, bytes]) -> tuple[int, str]:
    return answer[1], _info(answer).reason


def _info(answer: tuple[int, int, bytes]) -> ErrorInfo:
    info = ErrorInfo()
    if answer[1] != Code.OK:
        assert Status.FromString(answer[2]).details[0].Unpack(info)
    return info


def _read_only(method: str, *, value: bool) -> bytes:
    number = METHODS[method].input_type.fields_by_name["read_only"].number
    return bytes([number << 3, value])
