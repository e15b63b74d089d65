"""``python -m aexp``."""

from aexp.cli import main

if __name__ == "__main__":
    main()
