"""What lets callers in: files of tokens and certificates, read at the start and when they change.

A file that is broken when it changes keeps what was in force before, and the log says why; at the
start it ends the server. Connections that are open stay open: a new certificate is for the next
ones, and a token that is gone is refused at its next call. No content of a file reaches a log.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ipse import _native
from ipse.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipse.settings import ServerSettings

    _State: TypeAlias = tuple[tuple[int, int, int], ...]

_FILE_BYTES_MAX: Final = 16 * 1024 * 1024

_log = logging.getLogger("ipse.door")


class Certificates(NamedTuple):
    """What a server shows and whom it believes: texts of PEM."""

    chain: bytes
    key: bytes
    client_ca: bytes | None


class Door:
    """The tokens and certificates of one server. `open` first; `look_again` once in a while."""

    def __init__(self, settings: ServerSettings) -> None:
        self._tokens_path = settings.tokens
        self._tls = (settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
        # What each group of files was like when it was last looked at.
        self._tokens_seen: _State | None = None
        self._tls_seen: _State | None = None
        self.certificates: Certificates | None = None
        """Those that were there at the start; None: connections are not encrypted."""
        self.tokens: str | None = None
        """The text of the tokens' file; None: no tokens are asked for."""

    @property
    def has_files(self) -> bool:
        """Whether there is anything to look at again."""
        return bool(self._tokens_path or self._tls[0])

    def open(self) -> None:
        """Read all files; Failed names the one that cannot be used."""
        if self._tokens_path:
            self._tokens_seen, self.tokens = self._read_tokens()
        if self._tls[0]:
            self._tls_seen, self.certificates = self._read_certificates()

    def look_again(
        self,
        engine: _native.Engine | None,
        replace_certificates: Callable[[Certificates], None],
    ) -> None:
        """Put in force what has changed. Blocks; never raises for what is in a file."""
        if engine is not None and self._tokens_path:
            self._look_at_tokens(engine)
        if self.certificates is not None:
            self._look_at_certificates(replace_certificates)

    def _look_at_tokens(self, engine: _native.Engine) -> None:
        state = _state_of((self._tokens_path,))
        if state == self._tokens_seen:
            return
        self._tokens_seen = state
        try:
            self._tokens_seen, text = self._read_tokens()
        except Failed as failure:
            _log.error("tokens not read, the old ones stay", extra={"reason": failure.message})
        else:
            engine.replace_tokens(text)
            _log.info("tokens read", extra={"file": self._tokens_path})

    def _look_at_certificates(self, replace: Callable[[Certificates], None]) -> None:
        state = _state_of(self._tls)
        if state == self._tls_seen:
            return
        self._tls_seen = state
        try:
            self._tls_seen, certificates = self._read_certificates()
            replace(certificates)
        except Failed as failure:
            reason = {"reason": failure.message}
            _log.error("certificate not read, the old one stays", extra=reason)
        else:
            _log.info("certificate read", extra={"file": self._tls[0]})

    def _read_tokens(self) -> tuple[_State, str]:
        state = _state_of((self._tokens_path,))
        try:
            text = _read("tokens", self._tokens_path).decode()
            _native.check_tokens(text)
        except UnicodeDecodeError:
            raise Failed(f"tokens: {self._tokens_path}: is not UTF-8 text") from None
        except ValueError as problem:
            raise Failed(f"tokens: {self._tokens_path}: {problem}") from None
        return state, text

    def _read_certificates(self) -> tuple[_State, Certificates]:
        certificate_path, key_path, client_ca_path = self._tls
        state = _state_of(self._tls)
        chain = _read("tls_certificate", certificate_path)
        key = _read("tls_key", key_path)
        client_ca = _read("tls_client_ca", client_ca_path) if client_ca_path else None
        _check_pair(certificate_path, key_path)
        if client_ca is not None:
            _check_authority(client_ca_path)
        if _state_of(self._tls) != state:
            raise Failed(f"tls_certificate: {certificate_path}: changed while it was read")
        return state, Certificates(chain, key, client_ca)


def _state_of(paths: tuple[str, ...]) -> _State:
    """What changes when one of the files does."""
    return tuple(_state(path) for path in paths if path)


def _state(path: str) -> tuple[int, int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _read(setting: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Failed(f"{setting}: {path}: cannot be read: {error.strerror}") from None
    if len(content) > _FILE_BYTES_MAX:
        raise Failed(f"{setting}: {path}: is longer than {_FILE_BYTES_MAX} bytes")
    return content


def _check_pair(certificate: str, key: str) -> None:
    """Find out now: a transport may take anything, and then no connection succeeds."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, _no_password)
    except (OSError, ValueError) as error:
        raise Failed(
            f"tls_certificate: {certificate}: is not a PEM certificate chain that belongs to the "
            f"unencrypted PEM key {key} ({_reason(error)})"
        ) from None


def _check_authority(path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise Failed(
            f"tls_client_ca: {path}: is not a PEM file of certificates ({_reason(error)})"
        ) from None


def _no_password() -> str:
    raise ValueError("it asks for a password")


def _reason(error: OSError | ValueError) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or error)
