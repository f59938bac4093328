"""What a report card says, before it is written as JSON, Markdown or a page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vocable.audio import Audio
from vocable.metrics.codebook import LevelUsage
from vocable.metrics.score import Figure

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric as the card shows it.

    Attributes:
        key: In ``summary.json``, such as ``pesq_wb`` or ``wer@pocketsphinx-5.1.1``.
        title: Such as ``PESQ-WB`` or ``WER``.
        unit: Such as ``dB``; empty for a pure number; ``%`` means the figure is a share and is shown times 100.
        better: Which way is better.
        caption: What it measures, by which model, at which settings: a sentence or two.
        form: Format of a figure.
    """

    key: str
    title: str
    unit: str = ""
    better: Better
    caption: str
    form: str = ".2f"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that was judged: a tokenizer at a number of levels, a codec, an anchor, a folder of decoded audio.

    Attributes:
        name: In ``summary.json``, such as ``guided-small``, ``guided-small@4`` (levels) or ``Opus 6k``.
        kind: ``tokenizer``, ``codec``, ``anchor`` or ``decoded``.
        family: Entries of one family are one curve of the rate–quality plot.
        note: A line on it: version, settings, digest.
        bit_rate: Bits per second of payload, counted from the bytes; NaN where nothing is coded.
        figures: By column key.
        groups: Figures by a key of the manifest (``speaker``, ``gender``), then its value, then column key.
        usage: Of each level's codebook over all clips; empty where there are no tokens.
        reported: Figures of others for this very entry, by column key, as value and source.
    """

    name: str
    kind: Literal["tokenizer", "codec", "anchor", "decoded"]
    family: str
    note: str
    bit_rate: float = math.nan
    figures: Mapping[str, Figure] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Mapping[str, Figure]]] = field(default_factory=dict)
    usage: Sequence[LevelUsage] = ()
    reported: Mapping[str, tuple[float, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A clip to listen to: the recording and what each entry made of it.

    Attributes:
        utterance: Its key in the manifest.
        why: Why it is shown, such as ``worst PESQ-WB of guided-small``. Where it begins with ``worst`` or ``best``
            the clip stands in the list of that name, otherwise it is shown large, with spectrograms.
        facts: Such as speaker, gender, text.
        recording: As it was scored.
        made: By entry name, with a line of its figures.
    """

    utterance: str
    why: str
    facts: Mapping[str, str]
    recording: Audio
    made: Mapping[str, tuple[Audio, str]]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture to look at.

    Attributes:
        title: What it shows.
        caption: How to read it.
        png: Its bytes.
    """

    title: str
    caption: str
    png: bytes


@dataclass(frozen=True, kw_only=True)
class Card:
    """One run's whole result.

    Attributes:
        title: Of the page.
        lead: A sentence: which data, how many clips, when.
        columns: In the order of the table.
        entries: In the order of the table; the first tokenizer is the one the page is about.
        samples: Three to compare first, then the worst and the best of each tokenizer.
        probes: Figures of probes; see ``vocable.evaluate.probes``.
        alarms: What makes the run not to be trusted, such as an anchor off its place; empty if nothing.
        quarantined: Clips left out for every entry, with the reason.
        left_out: What could not be measured, such as codecs that this machine lacks, with what to do.
        settings: Everything needed to run it again.
        pictures: More to look at.
        main: Keys of the columns to see first; where there are none, the well-known ones.
        findings: What the figures add up to, a sentence each, with what they were held against.
    """

    title: str
    lead: str
    columns: Sequence[Column]
    entries: Sequence[Entry]
    samples: Sequence[Sample] = ()
    probes: "Sequence[ProbeRow]" = ()
    alarms: Sequence[str] = ()
    quarantined: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    main: Sequence[str] = ()
    findings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ProbeRow:
    """What a small model reads out of frozen tokens.

    Attributes:
        entry: The tokenizer's name.
        probe: Such as ``speaker`` or ``characters``.
        view: What the probe saw: ``level 1``, ``levels 2 to 8``, ``all levels``, ``voice vector``.
        metric: Such as ``top-1 accuracy`` or ``WER``.
        better: Which way is better.
        figure: On speakers or clips the probe was not fitted on.
        chance: What guessing among the classes gives; NaN where that means nothing.
        majority: What always saying the commonest gives; NaN likewise.
        note: Split, seeds, sizes.
    """

    entry: str
    probe: str
    view: str
    metric: str
    better: Better
    figure: Figure
    chance: float
    majority: float
    note: str
