"""Records of a TFRecord file, one after the other, each checked; without TensorFlow."""

import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from nap2.errors import DataFileError

HEADER, CHECKSUM = struct.Struct("<QI"), struct.Struct("<I")
MASK_DELTA = 0xA282EAD8


def records(path: Path) -> Iterator[bytes]:
    """The content of each record.

    A record is its length (uint64) and that length's checksum, the content and its checksum, all little-endian; a
    checksum is a CRC32C, rotated and shifted.

    Raises:
        DataFileError: a file that is missing, cut off, damaged or of another format, and at which byte.
    """
    try:
        with path.open("rb") as file:
            while header := file.read(HEADER.size):
                start = file.tell() - len(header)
                if len(header) < HEADER.size or masked_checksum(header[:8]) != HEADER.unpack(header)[1]:
                    what = "is no TFRecord file" if start == 0 else f"is damaged at byte {start}"
                    raise DataFileError(f"{path} {what}: fetch it again.")
                length = HEADER.unpack(header)[0]
                content, checksum = file.read(length), file.read(CHECKSUM.size)
                if len(checksum) < CHECKSUM.size:
                    raise DataFileError(f"{path} ends in the middle of a record (byte {file.tell()}): fetch it again.")
                if masked_checksum(content) != CHECKSUM.unpack(checksum)[0]:
                    raise DataFileError(f"{path} is damaged after byte {start}: fetch it again.")
                yield content
    except DataFileError:  # an OSError, too
        raise
    except FileNotFoundError as error:
        raise DataFileError(f"There is no accuracy file at {path}; correct truth.source.") from error
    except OSError as error:
        raise DataFileError(f"{path} cannot be read ({error}).") from error


def masked_checksum(content: bytes) -> int:
    """The checksum that the format stores."""
    checksum: int = google_crc32c.value(content)
    return ((checksum >> 15 | checksum << 17) + MASK_DELTA) & 0xFFFFFFFF
