"""`python -m nap2`; see `nap2/inference/command_line.py`."""

import sys
import warnings

if __name__ == "__main__":
    # Torch remarks on it at import; nothing here needs it.
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
    from nap2.inference.command_line import main
    from nap2.terminal import on_any_terminal

    sys.exit(on_any_terminal(lambda: main(sys.argv[1:])))
