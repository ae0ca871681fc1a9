"""Images: the checkpoint's own preprocessing, and the decoding of bytes from a stranger."""

import io
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import AutoImageProcessor

from ml_core.errors import Code, UserError
from ml_core.load.checkpoint import Checkpoint

BACKEND = "pil"
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats Pillow decodes by itself; others call programs or read files."""
MAX_PIXELS = 64_000_000


class BadImage(ValueError):
    """These bytes are no image we accept."""


def load_image_processor(checkpoint: Checkpoint, staged: Path) -> Any:
    """The checkpoint's image processor on the PIL backend, which every official run uses.

    Their base class has no types, so this has none either.

    Raises:
        UserError: `processor_missing`, `processor_invalid`.
    """
    if not checkpoint.has_processor:
        raise UserError(
            Code.PROCESSOR_MISSING,
            "The repository has no preprocessor_config.json, so nobody can know how the model "
            "wants its images. Save it with image_processor.save_pretrained and upload it.",
        )
    try:
        return AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]  # no types
            staged, backend=BACKEND, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # processor classes raise anything on a stranger's values
        text = " ".join(str(error).split())[:500]
        raise UserError(
            Code.PROCESSOR_INVALID,
            f"The image processor does not load: {type(error).__name__}: {text}",
        ) from error


def open_image(data: bytes) -> Image.Image:
    """The image in `data`, header read only. Raises BadImage."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # decoders raise many things on broken bytes
        raise BadImage("it is no image in a known format") from error
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(f"it has {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
    return image


def decode_image(data: bytes, mode: str) -> Image.Image:
    """The decoded image in a Pillow mode ("RGB", "L"). Raises BadImage."""
    image = open_image(data)
    try:
        return image.convert(mode)
    except Exception as error:  # decoders raise many things on broken bytes
        raise BadImage("its pixels cannot be decoded") from error
