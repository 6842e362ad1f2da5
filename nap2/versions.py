"""Which version of a package is installed."""

from importlib.metadata import PackageNotFoundError, version


def version_of(package: str, otherwise: str) -> str:
    """The version of an installed package, or `otherwise`; nothing is imported to find it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return otherwise
