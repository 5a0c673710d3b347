"""`ipse version`: the version of the package and of the engine in it."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata

from ipse.commands import EXIT_OK


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Prints the versions."""
    from ipse import _native

    engine = _native.__version__
    try:
        package = metadata.version("ipse")
    except metadata.PackageNotFoundError:
        package = engine
    if arguments.json:
        facts = {"version": package, "engine": engine, "python": platform.python_version()}
        print(json.dumps(facts))
    else:
        print(f"ipse {package} (engine {engine}, Python {platform.python_version()})")
    return EXIT_OK
