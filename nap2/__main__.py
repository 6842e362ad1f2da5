"""`python -m nap2`; see `nap2/inference/command_line.py`."""

import sys

from nap2.inference.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
