"""python -m tabular VERB."""

import sys

from tabular.cli import main

if __name__ == "__main__":
    sys.exit(main())
