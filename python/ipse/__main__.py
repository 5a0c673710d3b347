"""`python -m ipse`: the same as the command `ipse`."""

import sys

from ipse.cli import main

if __name__ == "__main__":
    sys.exit(main())
