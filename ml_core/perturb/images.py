"""Image perturbations: size and mode stay, a person still sees what it is.

Levels are those of pictures some 200 pixels wide; blur grows with the picture. The bytes of a JPEG
depend on Pillow's version, which the record names.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from ml_core.perturb.severity import Severity, at_severity

MODES = ("RGB", "L")
REFERENCE_PIXELS = 224

ImageChange = Callable[[Image.Image, Severity, np.random.Generator], Image.Image]


def noise(image: Image.Image, severity: Severity, rng: np.random.Generator) -> Image.Image:
    """Gaussian noise on every value, standard deviation 0.04 to 0.26 of the range."""
    deviation = at_severity((0.04, 0.08, 0.12, 0.18, 0.26), severity)
    values = np.asarray(_checked(image), dtype=np.float32)
    noisy = values + rng.normal(scale=255 * deviation, size=values.shape)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def blur(image: Image.Image, severity: Severity, rng: np.random.Generator) -> Image.Image:
    """Gaussian blur of radius 0.5 to 4 pixels where the shorter side has 224; in proportion else,
    but never under a quarter of that."""
    radius = at_severity((0.5, 1.0, 1.75, 2.75, 4.0), severity)
    scale = max(min(image.size) / REFERENCE_PIXELS, 0.25)
    return _checked(image).filter(ImageFilter.GaussianBlur(radius * scale))


def jpeg(image: Image.Image, severity: Severity, rng: np.random.Generator) -> Image.Image:
    """Saved as JPEG of quality 40 to 5 and opened again."""
    stream = io.BytesIO()
    _checked(image).save(stream, "JPEG", quality=at_severity((40, 25, 15, 10, 5), severity))
    opened = Image.open(stream, formats=("JPEG",))
    opened.load()
    return opened.convert(image.mode)


def brighter(image: Image.Image, severity: Severity, rng: np.random.Generator) -> Image.Image:
    """Every value times 1.2 to 2.2, cut at white."""
    factor = at_severity((1.2, 1.4, 1.6, 1.9, 2.2), severity)
    return ImageEnhance.Brightness(_checked(image)).enhance(factor)


def darker(image: Image.Image, severity: Severity, rng: np.random.Generator) -> Image.Image:
    """Every value times 0.8 to 0.25."""
    factor = at_severity((0.8, 0.65, 0.5, 0.35, 0.25), severity)
    return ImageEnhance.Brightness(_checked(image)).enhance(factor)


def crop(image: Image.Image, severity: Severity, rng: np.random.Generator) -> Image.Image:
    """A part of the picture, 0.9 to 0.5 of either side, anywhere, scaled to the whole's size."""
    share = at_severity((0.9, 0.8, 0.7, 0.6, 0.5), severity)
    width, height = _checked(image).size
    part = max(1, round(width * share)), max(1, round(height * share))
    left = int(rng.integers(width - part[0] + 1))
    top = int(rng.integers(height - part[1] + 1))
    box = (left, top, left + part[0], top + part[1])
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)


IMAGE_CHANGES: dict[str, ImageChange] = {
    change.__name__: change for change in (noise, blur, jpeg, brighter, darker, crop)
}


def _checked(image: Image.Image) -> Image.Image:
    if image.mode not in MODES:
        raise ValueError(f"images are {' or '.join(MODES)}, not {image.mode}; convert them first")
    return image
