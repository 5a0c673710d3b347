"""Settings: every one bounded, every refusal names the field."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ipse.errors import ConfigError
from ipse.settings import ServerSettings, bounds_of, choices_of, help_of

FIELDS = dataclasses.fields(ServerSettings)
NUMBERS = [field for field in FIELDS if type(field.default) in (int, float)]


def test_the_defaults_are_allowed() -> None:
    settings = ServerSettings()
    assert settings.validate() is settings


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_setting_says_what_it_is_for(field: dataclasses.Field[Any]) -> None:
    assert help_of(field).endswith(".")


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_every_number_is_bounded_on_both_sides(field: dataclasses.Field[Any]) -> None:
    least, most = bounds_of(field)
    assert least is not None
    assert most is not None
    whole = isinstance(field.default, int)
    for allowed in (least, most):
        _with(field, int(allowed) if whole else allowed).validate()
    for wrong in (least - 1, most + 1):
        _refuses(_with(field, int(wrong) if whole else wrong), field.name)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_value_of_another_type_is_refused(field: dataclasses.Field[Any]) -> None:
    wrong: object = 1 if isinstance(field.default, str) else "1"
    _refuses(_with(field, wrong), field.name)


def test_true_is_not_a_number() -> None:
    _refuses(ServerSettings(port=True), "port")


def test_not_a_number_is_refused() -> None:
    _refuses(ServerSettings(drain_grace_s=float("nan")), "drain_grace_s")


def test_a_whole_number_will_do_for_a_fraction() -> None:
    ServerSettings(drain_grace_s=3).validate()


def test_a_word_that_is_no_choice_is_refused_with_the_choices() -> None:
    for field in FIELDS:
        choices = choices_of(field)
        if choices is not None:
            error = _refuses(_with(field, "sometimes"), field.name)
            assert ", ".join(choices) in error.message


def test_an_empty_data_directory_is_refused() -> None:
    _refuses(ServerSettings(data_dir=""), "data_dir")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_loopback_is_allowed(host: str) -> None:
    ServerSettings(host=host).validate()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "2001:db8::1"])  # noqa: S104
def test_other_addresses_need_both_guards_or_insecure_and_the_refusal_says_why(host: str) -> None:
    tls = {"tls_certificate": "server.pem", "tls_key": "server.key"}
    tokens = {"tokens": "tokens.toml"}
    for given, missing, there in (
        ({}, ["no encryption", "no authentication"], []),
        (tls, ["no authentication"], ["no encryption"]),
        (tokens, ["no encryption"], ["no authentication"]),
    ):
        settings: dict[str, Any] = {"host": host, **given}
        error = _refuses(ServerSettings(**settings), "host")
        assert all(words in error.message for words in (*missing, "insecure"))
        assert not any(words in error.message for words in there)
    ServerSettings(host=host, insecure=True).validate()
    ServerSettings(
        host=host, tls_certificate="server.pem", tls_key="server.key", tokens="tokens.toml"
    ).validate()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tls_certificate": "a"}, "tls_key"),
        ({"tls_key": "a"}, "tls_certificate"),
        ({"tls_client_ca": "a"}, "tls_client_ca"),
    ],
)
def test_half_an_encryption_is_refused(given: dict[str, Any], field: str) -> None:
    _refuses(ServerSettings(**given), field)


@pytest.mark.parametrize("host", ["", "example.com", "127.0.0.1:80", "[::1]"])
def test_what_is_no_address_is_refused(host: str) -> None:
    _refuses(ServerSettings(host=host, insecure=True), "host")


def _with(field: dataclasses.Field[Any], value: object) -> ServerSettings:
    changes: dict[str, Any] = {field.name: value}
    return ServerSettings(**changes)


def _refuses(settings: ServerSettings, field: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        settings.validate()
    assert caught.value.field == field
    assert caught.value.message.startswith(f"{field}: ")
    return caught.value
