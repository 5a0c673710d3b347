"""Certificates made in the test, of real authorities: nothing of them is trusted outside."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Pair:
    """A certificate chain and its key, as files."""

    certificate: Path
    key: Path


def authority(path: Path) -> trustme.CA:
    """A new authority, whose certificate is written to a file."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(path))
    return made


def issue(signer: trustme.CA, into: Path, name: str, *hosts: str, expired: bool = False) -> Pair:
    """A certificate for some hosts, in files called after it; again: in the same files."""
    ended = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    made = signer.issue_cert(*hosts, not_after=ended if expired else None)
    pair = Pair(into / f"{name}.pem", into / f"{name}.key")
    made.private_key_pem.write_to_path(str(pair.key))
    chain = b"".join(part.bytes() for part in made.cert_chain_pems)
    pair.certificate.write_bytes(chain)
    return pair
