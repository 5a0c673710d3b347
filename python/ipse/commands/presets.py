"""The presets: whose behaviour each one is, and how a command puts one in force.

The rules themselves are data in the extension; here are only their names.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

import ipse
from ipse.commands import CommandError, UsageError, connection

if TYPE_CHECKING:
    from ipse.client import Client

DEFAULT: Final = "segment"
# In the order in which a person would look for their own.
PRESETS: Final = (
    ("segment", "Segment Unify: what is seen together is one person, within limits"),
    ("mparticle-conversion", "mParticle IDSync, profile conversion: an anonymous profile converts"),
    ("mparticle-link", "mParticle IDSync, profile link: a new login id begins a profile"),
    ("mparticle-isolation", "mParticle IDSync, profile isolation: known and anonymous stay apart"),
    ("mparticle-best-match", "mParticle IDSync, best match: the identity hierarchy finds one"),
    ("esputnik", "eSputnik (Yespo): a key names the contact, devices move to their newest owner"),
    ("mixpanel-simplified", "Mixpanel, simplified id merge: one user id, many device ids"),
    ("posthog", "PostHog: identify and alias join persons, guards keep identified ones apart"),
    ("adobe", "Adobe Real-Time CDP: identity graph linking rules, replayed by priority"),
    ("mixpanel-original", "Mixpanel, original id merge: identify, alias and merge"),
)


def text(name: str) -> str:
    """The rules of a preset as TOML; refuses a name that none has."""
    toml = ipse.preset(name)
    if toml is None:
        there_are = ", ".join(known for known, _ in PRESETS)
        raise UsageError(f"there is no preset {name!r}; there are: {there_are}")
    return toml


def put_in_force(arguments: argparse.Namespace, name: str, wait_s: float) -> None:
    """Makes sure that the workspace has the rules of the preset; refuses to replace others.

    Replaces only the rules that every first workspace begins with, and only while it is empty.
    """
    from ipse.errors import AlreadyExists, DeadlineExceeded

    toml, workspace = text(name), arguments.workspace
    with connection.client(arguments) as client:
        try:
            client.wait_until_ready(wait_s)
            client.create_workspace(workspace, rules_toml=toml)
            print(f"ipse: created workspace {workspace} with preset {name}", file=sys.stderr)
        except DeadlineExceeded as failure:
            raise CommandError(f"{arguments.address}: {failure.message}; start one") from None
        except AlreadyExists:
            _take_over(client, workspace, name, toml)


def _take_over(client: Client, workspace: str, name: str, toml: str) -> None:
    rules = client.get_rules(workspace=workspace)
    if rules.toml == toml:
        return
    info = client.get_workspace(workspace)
    is_new = not info.identifier_count and not info.profile_count
    if not is_new or rules.toml != ipse.preset(DEFAULT):
        raise CommandError(
            f"workspace {workspace} is there already, with other rules than preset {name}; leave "
            "--preset out to use them, name another --workspace, or change them with "
            "'ipse rules set'"
        )
    client.set_rules(toml, workspace=workspace, expected_version=rules.version)
    print(f"ipse: put preset {name} in force in workspace {workspace}", file=sys.stderr)
