"""A checkpoint's own preprocessing of images, on the one backend that every official run uses."""

from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor

from ml_core.errors import Code, UserError
from ml_core.load.checkpoint import Checkpoint

BACKEND = "pil"


def load_image_processor(checkpoint: Checkpoint, staged: Path) -> Any:
    """The checkpoint's image processor on the PIL backend.

    Their base class has no types, so this has none either.

    Raises:
        UserError: `processor_missing`, `processor_invalid`; `unsupported_model` where transformers
            has the processor for torchvision alone.
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
        if "torchvision" in text:
            raise UserError(
                Code.UNSUPPORTED_MODEL,
                f"transformers prepares the images of {checkpoint.config.model_type!r} with "
                "torchvision alone. Evaluations here use Pillow, so that every machine gets the "
                "same pixels; a model whose image processor works with Pillow can be evaluated.",
            ) from error
        raise UserError(
            Code.PROCESSOR_INVALID,
            f"The image processor does not load: {type(error).__name__}: {text}",
        ) from error
