"""Audio perturbations on waveforms: floats, shape `(samples,)` or `(channels, samples)`.

The sample rate is not needed: noise is measured against the sound, speed is a ratio.
"""

from collections.abc import Callable

import numpy as np

from ml_core.arrays import Floats
from ml_core.perturb.severity import Severity, at_severity

SIGNAL_TO_NOISE_DB = (30.0, 20.0, 15.0, 10.0, 5.0)
SPEED_CHANGES = (1.05, 1.1, 1.2, 1.35, 1.5)

AudioChange = Callable[[Floats, Severity, np.random.Generator], Floats]


def noise(wave: Floats, severity: Severity, rng: np.random.Generator) -> Floats:
    """White noise 30 to 5 decibels below the sound; see `noise_at`."""
    return noise_at(wave, at_severity(SIGNAL_TO_NOISE_DB, severity), rng)


def faster(wave: Floats, severity: Severity, rng: np.random.Generator) -> Floats:
    """1.05 to 1.5 times as fast, and so higher."""
    return at_speed(wave, at_severity(SPEED_CHANGES, severity))


def slower(wave: Floats, severity: Severity, rng: np.random.Generator) -> Floats:
    """1.05 to 1.5 times as slow, and so lower."""
    return at_speed(wave, 1 / at_severity(SPEED_CHANGES, severity))


AUDIO_CHANGES: dict[str, AudioChange] = {
    change.__name__: change for change in (noise, faster, slower)
}


def noise_at(wave: Floats, signal_to_noise_db: float, rng: np.random.Generator) -> Floats:
    """`wave` with white noise of which the power is exactly so many decibels below the wave's.

    10 log10(mean of wave² / mean of noise²). Silence and nothing come back unchanged: there is no
    sound to measure against. Values may leave -1 .. 1.
    """
    power = float(np.mean(np.square(wave))) if wave.size else 0.0
    if power == 0:
        return wave
    drawn = rng.normal(size=wave.shape)
    wanted = power / 10 ** (signal_to_noise_db / 10)
    scaled = drawn * np.sqrt(wanted / np.mean(np.square(drawn)))
    noisy: Floats = (wave + scaled).astype(wave.dtype)
    return noisy


def at_speed(wave: Floats, factor: float) -> Floats:
    """`wave` played `factor` times as fast: resampled to `samples / factor`, at least one.

    Band-limited, by cutting or padding the spectrum of the whole wave, which is taken as periodic.
    Equals scipy.signal.resample.

    Raises:
        ValueError: the factor is not above 0.
    """
    if not 0 < factor < float("inf"):
        raise ValueError("a speed is above 0")
    n = wave.shape[-1]
    if n == 0 or factor == 1:
        return wave
    n_new = max(1, round(n / factor))
    spectrum = np.fft.rfft(wave, axis=-1)
    n_kept = min(n, n_new)
    kept = np.zeros((*wave.shape[:-1], n_new // 2 + 1), dtype=spectrum.dtype)
    width = n_kept // 2 + 1
    kept[..., :width] = spectrum[..., :width]
    if n_kept % 2 == 0 and n_new != n:
        kept[..., n_kept // 2] *= 2.0 if n_new < n else 0.5
    played: Floats = (np.fft.irfft(kept, n_new, axis=-1) * (n_new / n)).astype(wave.dtype)
    return played
