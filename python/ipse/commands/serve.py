"""`ipse serve`: gathers the settings and runs the server until it is told to stop."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ipse import config, telemetry
from ipse.commands import configured

EXIT_CODES_HELP = (
    "exit codes: 0 stopped in good order, 2 wrong usage or configuration, 70 the engine failed, "
    "74 the data directory or the port cannot be opened"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds `--config` and a flag for each setting."""
    parser.epilog = EXIT_CODES_HELP
    configured.add_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serves. SIGTERM or SIGINT end it: calls are drained, the log synced, a snapshot written."""
    try:
        effective = configured.gather(arguments)
        settings, local = effective.server(), effective.local()
    except config.ConfigProblems as wrong:
        raise configured.usage_error(wrong) from None
    telemetry.configure(local.log_format, local.log_level)
    for warning in effective.warnings:
        logging.getLogger("ipse").warning("unknown setting", extra={"problem": warning})
    from ipse import server

    return server.serve(settings, lambda address: _tell_port(address, local.port_file))


def _tell_port(address: str, port_file: str) -> None:
    """Writes the port in one step: who started this process looks for the file, and reads it."""
    if not port_file:
        return
    beside = Path(port_file + ".new")
    beside.write_text(address.rpartition(":")[2])
    beside.replace(port_file)
