"""``python -m naiad``: the command line."""

from __future__ import annotations

from naiad.cli.main import main

if __name__ == "__main__":
    main()
