"""Zarr's files in a folder that has one writer: without the hard links by which zarr keeps several writers apart.

exFAT has none, nor has much that is mounted from a cloud or over SSH.
"""

from zarr.core.buffer import Buffer
from zarr.storage import LocalStore


class OneWriterStore(LocalStore):
    """A local store in which a file is looked for before it is written."""

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file unless it is there."""
        if not await self.exists(key):
            await self.set(key, value)
