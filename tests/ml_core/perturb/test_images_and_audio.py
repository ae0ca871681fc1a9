"""Image and audio perturbations: what they measure to, what they keep."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import signal

from ml_core.perturb import audio, images

severities = st.integers(1, 5)


def picture(mode="RGB", size=(64, 48)):
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize(size, Image.Resampling.NEAREST).convert(mode)


def values(image):
    return np.asarray(image, dtype=float)


@given(
    st.sampled_from(sorted(images.IMAGE_CHANGES)),
    severities,
    st.sampled_from(images.MODES),
    st.sampled_from([(64, 48), (1, 1), (3, 200)]),
)
@settings(max_examples=40, deadline=None)
def test_size_and_mode_stay_and_the_seed_decides(name, severity, mode, size):
    image = picture(mode, size)
    before = image.tobytes()
    first, again = (
        images.IMAGE_CHANGES[name](image, severity, np.random.default_rng(3)) for _ in range(2)
    )
    assert (first.size, first.mode) == (size, mode)
    assert first.tobytes() == again.tobytes()
    assert image.tobytes() == before


@pytest.mark.parametrize("name", sorted(images.IMAGE_CHANGES))
def test_a_higher_severity_changes_a_picture_more(name):
    image = picture(size=(240, 224))
    apart = []
    for severity in (1, 3, 5):
        found = images.IMAGE_CHANGES[name](image, severity, np.random.default_rng(0))
        apart.append(np.abs(values(found) - values(image)).mean())
    assert 0 < apart[0] < apart[1] < apart[2]


def test_noise_has_the_deviation_it_says():
    grey = Image.new("L", (200, 200), 128)
    for severity, deviation in ((1, 0.04), (3, 0.12)):
        found = values(images.noise(grey, severity, np.random.default_rng(0)))
        assert found.std() == pytest.approx(255 * deviation, rel=0.03)
        assert found.mean() == pytest.approx(128, abs=1)


def test_brightness_by_hand_and_an_even_picture_has_nothing_to_blur_or_crop():
    grey, rng = Image.new("RGB", (20, 20), (100, 100, 200)), np.random.default_rng(0)
    assert images.brighter(grey, 2, rng).getpixel((3, 3)) == (140, 140, 255)
    assert images.darker(grey, 3, rng).getpixel((3, 3)) == (50, 50, 100)
    for change in (images.blur, images.crop):
        assert change(grey, 5, rng).tobytes() == grey.tobytes()


def test_blur_grows_with_the_picture():
    small, large = picture(size=(112, 112)), picture(size=(448, 448))
    rng = np.random.default_rng(0)
    apart = [np.abs(values(images.blur(p, 3, rng)) - values(p)).mean() for p in (small, large)]
    assert apart[0] == pytest.approx(apart[1], rel=0.5)


def test_a_jpeg_is_what_pillow_reads_back():
    image, stream = picture(), io.BytesIO()
    image.save(stream, "JPEG", quality=15)
    expected = Image.open(stream).convert("RGB")
    assert images.jpeg(image, 3, np.random.default_rng(0)).tobytes() == expected.tobytes()


def test_other_modes_and_severities_are_refused():
    for name, change in images.IMAGE_CHANGES.items():
        with pytest.raises(ValueError, match="convert them first"):
            change(Image.new("RGBA", (4, 4)), 1, np.random.default_rng(0))
        with pytest.raises(ValueError, match="from 1 to 5"):
            change(picture(), 0, np.random.default_rng(0))
        assert name == change.__name__


def wave(shape=(8000,), dtype=np.float32):
    return (np.random.default_rng(0).normal(size=shape) * 0.1).astype(dtype)


@given(st.floats(-10, 60), st.sampled_from([(8000,), (2, 500)]))
@settings(max_examples=30, deadline=None)
def test_noise_lies_exactly_so_many_decibels_below_the_sound(decibels, shape):
    clean = wave(shape, np.float64)
    added = audio.noise_at(clean, decibels, np.random.default_rng(1)) - clean
    ratio = 10 * np.log10(np.mean(clean**2) / np.mean(added**2))
    assert ratio == pytest.approx(decibels, abs=1e-6)


@given(st.integers(1, 60), st.integers(30, 300))
@settings(max_examples=60, deadline=None)
def test_speed_equals_scipy_s_resampling(n, percent):
    clean = wave((n,), np.float64)
    found = audio.at_speed(clean, percent / 100)
    n_new = max(1, round(n / (percent / 100)))
    assert found == pytest.approx(signal.resample(clean, n_new), abs=1e-12)


def test_a_tone_played_faster_is_higher():
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    found = audio.at_speed(tone, 2.0)
    assert found == pytest.approx(np.sin(2 * np.pi * 880 * np.arange(8000) / 16_000), abs=1e-9)
    assert audio.at_speed(audio.at_speed(tone, 0.5), 2.0) == pytest.approx(tone, abs=1e-9)


@pytest.mark.parametrize("name", sorted(audio.AUDIO_CHANGES))
def test_audio_changes_keep_type_and_channels_and_follow_the_seed(name):
    change = audio.AUDIO_CHANGES[name]
    clean = wave((2, 4000))
    first, again = (change(clean, 3, np.random.default_rng(0)) for _ in range(2))
    assert np.array_equal(first, again)
    assert (first.dtype, first.shape[0]) == (np.float32, 2)
    lengths = [change(clean, s, np.random.default_rng(0)).shape[1] for s in (1, 3, 5)]
    assert lengths == {
        "noise": [4000] * 3, "faster": [3810, 3333, 2667], "slower": [4200, 4800, 6000],
    }[name]  # fmt: skip
    assert not np.array_equal(first[:, :2000], clean[:, :2000])


def test_silence_and_nothing_stay():
    for quiet in (np.zeros(10), np.empty(0), np.empty((2, 0))):
        for change in audio.AUDIO_CHANGES.values():
            found = change(quiet, 3, np.random.default_rng(0))
            assert not found.any()
            assert found.ndim == quiet.ndim
    for factor in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            audio.at_speed(wave(), factor)
