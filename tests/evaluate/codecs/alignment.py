"""How late one signal is after another."""

import numpy as np

from vocable.audio import Audio


def lateness(clip: Audio, made: Audio) -> float:
    """Samples at 16 kHz by which the waveform comes late: the peak of the cross-correlation, to a tenth."""
    reference, other = (part.resample(16_000).samples.astype(np.float64) for part in (clip, made))
    size, fine, most = 1 << int(np.ceil(np.log2(2 * reference.size))), 10, 500
    spectrum = np.zeros(size * fine // 2 + 1, dtype=complex)
    spectrum[: size // 2 + 1] = np.fft.rfft(other, size) * np.conj(np.fft.rfft(reference, size))
    match = np.fft.irfft(spectrum, size * fine)
    near = np.concatenate([match[-most * fine :], match[: most * fine]])
    return float(np.argmax(near) / fine - most)


def envelope_lateness(pairs: list[tuple[Audio, Audio]]) -> float:
    """Milliseconds by which the loudness of four bands comes late, over all pairs; vocoders keep no phase."""
    most, total = 60, np.zeros(121)
    for clip, made in pairs:
        first, second = _bands(clip), _bands(made)
        for shift in range(-most, most + 1):
            moved = np.roll(second, -shift, axis=1)
            total[shift + most] += float((first * moved)[:, most:-most].sum()) / np.linalg.norm(first)
    return (int(np.argmax(total)) - most) / 2


def _bands(clip: Audio) -> np.ndarray:
    """Log energies around each half millisecond, without their mean."""
    samples = clip.resample(8_000).samples
    frames = np.lib.stride_tricks.sliding_window_view(samples, 160)[::4] * np.hanning(160)
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = np.log(np.stack([power[:, a:b].sum(1) for a, b in ((2, 8), (8, 16), (16, 30), (30, 70))]) + 1e-6)
    return bands - bands.mean(axis=1, keepdims=True)
