"""The subcommands of `ipse`, one module each, and what they share: how they fail.

Each module offers `configure(parser)`, which adds its arguments, and `run(arguments)`, which
does the work and returns an exit code. Modules import gRPC and the engine inside `run`, so that
help stays fast.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2

EXIT_CODES_HELP = "exit codes: 0 done, 1 failed, 2 wrong usage or configuration"


class CommandError(Exception):
    """Ends a command. The message is one line: what is wrong, where, and what to do."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(CommandError):
    """The command line or the configuration is wrong; nothing was started."""

    def __init__(self, message: str) -> None:
        super().__init__(message, EXIT_USAGE)
