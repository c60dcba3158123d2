"""How much is tried: little in every test run, much with SOAK=1."""

import os

SOAK = os.environ.get("SOAK", "") not in ("", "0")
