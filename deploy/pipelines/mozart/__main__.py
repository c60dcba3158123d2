"""python -m mozart VERB."""

import sys

from mozart.cli import main

if __name__ == "__main__":
    sys.exit(main())
