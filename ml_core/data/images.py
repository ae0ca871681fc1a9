"""Images in the data: bytes from a stranger, opened and decoded within limits.

Pillow is imported when the first image is opened: what reads only tables does without it.
"""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats Pillow decodes by itself; others call programs or read files."""
MAX_PIXELS = 64_000_000


class BadImage(ValueError):
    """These bytes are no image we accept."""


def open_image(
    data: bytes, *, formats: tuple[str, ...] = FORMATS, max_pixels: int = MAX_PIXELS
) -> "Image.Image":
    """The image in `data`, header read only. Raises BadImage."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except Exception as error:  # decoders raise many things on broken bytes
        raise BadImage("it is no image in a known format") from error
    if image.width * image.height > max_pixels:
        raise BadImage(f"it has {image.width} x {image.height} pixels, more than {max_pixels:,}")
    return image


def decode_image(data: bytes, mode: str) -> "Image.Image":
    """The decoded image in a Pillow mode ("RGB", "L"). Raises BadImage."""
    image = open_image(data)
    try:
        return image.convert(mode)
    except Exception as error:  # decoders raise many things on broken bytes
        raise BadImage("its pixels cannot be decoded") from error
