"""Published pickles, read without running anything they name: numpy arrays and plain containers only."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_NUMPY = {
    "_reconstruct": np.zeros(1).__reduce__()[0],  # asked of NumPy, whose releases keep them in different modules
    "scalar": np.float64(0).__reduce__()[0],
    "_frombuffer": np.zeros(1).__reduce_ex__(5)[0],
}
_BUILTINS = ("bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple")


def _latin1(text: str, encoding: str = "latin1", errors: str = "strict") -> bytes:
    """`_codecs.encode` as old pickles use it: bytes spelt as text."""
    return text.encode(encoding, errors)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Refuse every name but those that rebuild arrays and containers."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric"):
            if name in _NUMPY:
                return _NUMPY[name]
        elif module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        elif module in ("builtins", "__builtin__") and name in _BUILTINS:
            return super().find_class("builtins", name)
        elif (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"it names {module}.{name}, which image files have no need of")


def load_arrays(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle, its keys as text (Python 2 wrote them as bytes).

    Raises:
        pickle.UnpicklingError: if it is no pickle of a dictionary, is cut short, or names anything but arrays and
            plain containers.
    """
    try:
        content = _Unpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except (EOFError, ValueError, TypeError, LookupError, AttributeError, MemoryError) as error:
        raise pickle.UnpicklingError(f"no readable pickle: {error}") from error
    if not isinstance(content, Mapping):
        raise pickle.UnpicklingError(f"it holds a {type(content).__name__}, not a dictionary")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in content.items()}
