"""`python -m deburr`: the command line."""

from __future__ import annotations

from deburr.cli.main import main

if __name__ == "__main__":
    main()
