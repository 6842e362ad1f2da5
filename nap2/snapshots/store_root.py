"""The root of a store: made once however many processes begin at the same moment, and never under two settings."""

import json
from pathlib import Path

from nap2.errors import StoreError, in_one_line
from nap2.schema import SCHEMA_VERSION
from nap2.snapshots.candidate_folder import check_schema_version, software_versions
from nap2.snapshots.disk import create_once, empty_trash, explained
from nap2.snapshots.manifest import Setting

_FORMAT = "nap2-snapshot-store"


def create_root(root: Path, setting: Setting) -> None:
    """Make the folders of a store, or find them made.

    Raises:
        StoreError: if a store of another setting is there, or the folder cannot be written.
        StoreVersionError: if another schema wrote it.
    """
    with explained("Making a snapshot store", root):
        for name in ("candidates", ".staging", "failed"):
            (root / name).mkdir(parents=True, exist_ok=True)
        if not (root / "zarr.json").exists():
            create_once(root / "zarr.json", _metadata(setting))
        empty_trash(root / ".staging")
    check_setting(root, setting)


def check_setting(root: Path, setting: Setting) -> None:
    """Refuse a store of another setting.

    Raises:
        StoreError: if it is one, naming each difference, or there is no store.
        StoreVersionError: if another schema wrote it.
    """
    if differences := setting.differences(read_setting(root)):
        raise StoreError(
            f"The store {root} was made with another setting (asked ≠ found): {'; '.join(differences)}. "
            f"Use another paths.store or the setting it was made with."
        )


def read_setting(root: Path) -> Setting:
    """The setting of an existing store.

    Raises:
        StoreError: if there is none, or its metadata is damaged.
        StoreVersionError: if another schema wrote it.
    """
    path = root / "zarr.json"
    with explained("Reading a snapshot store", path):
        content = path.read_bytes() if path.exists() else None
    if content is None:
        raise StoreError(f"No snapshot store at {root}; make one with stage=snapshot, or correct paths.store.")
    try:
        attributes = json.loads(content)["attributes"]
        if attributes["format"] != _FORMAT:
            raise ValueError(f"format {attributes['format']!r}")
        check_schema_version(int(attributes["schema_version"]), f"The store {root}")
        return Setting(**attributes["setting"])
    except (ValueError, LookupError, TypeError) as error:
        raise StoreError(
            f"{path} is not the metadata of a snapshot store ({in_one_line(error)}); correct paths.store."
        ) from error


def _metadata(setting: Setting) -> bytes:
    attributes = {
        "format": _FORMAT,
        "schema_version": SCHEMA_VERSION,
        "setting": setting.as_dict(),
        "made_with": software_versions(),
    }
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=1).encode()
