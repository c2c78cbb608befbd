"""`python -m scsa_core`."""

import sys

from scsa_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
