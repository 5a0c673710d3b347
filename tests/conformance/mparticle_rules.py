"""An mParticle scenario's config as rules: the preset of its strategy with the scenario on top."""

from __future__ import annotations

import tomllib
from typing import Any

from tests import toml_text
from tests.conformance.preset_rules import UNLIMITED, only, preset, word
from tests.conformance.vocabulary import MPARTICLE

CONFIG_KEYS = frozenset(
    {
        "system",
        "strategy",
        "identity_priority",
        "login_ids",
        "unique_ids",
        "immutable_ids",
        "initial_profiles",
        "search_requires_immutable_match",
        "note",
        "notes",
    }
)


def rules_toml(config: dict[str, Any]) -> str:
    """The rules of a scenario's workspace. Raises Inexpressible."""
    only(config, CONFIG_KEYS, "config")
    rules = preset(word(MPARTICLE.presets, config["strategy"], "strategy"))
    config = MPARTICLE.fixed_ids.get(config["strategy"], {}) | config
    known = rules["namespaces"]
    order = config.get("identity_priority") or _by_priority(known)
    rules["namespaces"] = {
        name: _namespace(config, name, priority, known.get(name, {"limit": UNLIMITED}))
        for priority, name in enumerate(order, start=1)
    }
    # Requests come with their identities here, so nothing is read out of raw events.
    rules.pop("mapping", None)
    workspace = rules.get("workspace", {})
    if "canonical_id" in workspace:
        workspace["canonical_id"] = [name for name in workspace["canonical_id"] if name in order]
    if not any(entry.get("login") for entry in rules["namespaces"].values()):
        # Without login ids nobody is known, new or not.
        rules.get("commands", {}).get("login", {}).pop("new_known", None)
    return toml_text.dumps(rules)


def login_ids(rules_toml: str) -> frozenset[str]:
    """The identity types that make a profile a known one under these rules."""
    namespaces = tomllib.loads(rules_toml)["namespaces"]
    return frozenset(name for name, entry in namespaces.items() if entry.get("login"))


def _by_priority(namespaces: dict[str, dict[str, Any]]) -> list[str]:
    return sorted(namespaces, key=lambda name: namespaces[name]["priority"])


def _namespace(
    config: dict[str, Any], name: str, priority: int, preset_entry: dict[str, Any]
) -> dict[str, Any]:
    entry = {key: value for key, value in preset_entry.items() if key not in ("from", "key")}
    entry["priority"] = priority
    if "unique_ids" in config:
        # A lookup that is not unique may find several profiles.
        entry["shared"] = name not in config["unique_ids"]
    for key, setting in (("login_ids", "login"), ("immutable_ids", "immutable")):
        if key in config:
            entry[setting] = name in config[key]
    return entry
