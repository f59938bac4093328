"""Phonemes of a corpus in IPA: from its alignments to a model that is trained on them, and to speech."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runs import fit
from tests.systems.ctap.conftest import short
from vocable import load, recipes, synthesize
from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import TextError
from vocable.systems.ctap.data import corpus_phonemes
from vocable.systems.ctap.recipe import tiny
from vocable.text.espeak import EspeakPronouncer
from vocable_lab.shared.phones import PhoneReader

IPA = {"AA": "ɑː", "IY": "iː", "UW": "uː", "S": "s", "T": "t", "M": "m"}


@pytest.fixture
def german(manifest: Path) -> Path:
    """The corpus with other symbols for its phones; those without one keep a lower-case name."""
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line in lines:
        line.pop("phones", None)
        if "alignment" in line:
            line["alignment"] = [
                [one if one == "SIL" else IPA.get(one, f"{one.lower()}ʰ"), start, end]
                for one, start, end in line["alignment"]
            ]
    path = manifest.parent / "ipa.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_the_inventory_is_silence_and_what_the_alignments_hold(german: Path) -> None:
    utterances = read_manifest(german, "train")
    found = corpus_phonemes(utterances)
    assert found[0] == "SIL"
    assert list(found[1:]) == sorted(found[1:])
    assert not set(found[1:]) & {name for name in IPA if name.isupper()}
    run = recipes.override(tiny(), settings={"batches.inventory": "corpus"})
    material = run.material_of(utterances)
    assert material.phonemes.symbols == found
    assert material.problems == []
    assert run.objective(material).model.config.phonemes == found
    with pytest.raises(Exception, match=r"none of .* recordings has an 'alignment'"):
        tiny().material_of(utterances)  # ARPAbet alone


def test_references_of_an_evaluation_keep_the_case_of_ipa_and_lose_the_stress_of_arpabet() -> None:
    def said(*symbols: str) -> list[str]:
        rows = [[symbol, 0.1 * at, 0.1 * at + 0.1] for at, symbol in enumerate(symbols)]
        return PhoneReader().phones(Utterance(audio_path="a.wav", duration=0.1 * len(rows), extra={"alignment": rows}))

    assert said("SIL", "b", "ɪ", "t") == ["b", "ɪ", "t"]
    assert said("b", "ih1", "T") == ["B", "IH", "T"]


@pytest.mark.slow
def test_a_model_of_ipa_is_trained_and_reads_text_through_espeak(german: Path, tmp_path: Path) -> None:
    run = replace(short(), batches=replace(short().batches, inventory="corpus"))
    fit(run, german, tmp_path)
    model = load(tmp_path)
    assert set(model.phonemes.symbols) == set(corpus_phonemes(read_manifest(german, "train")))
    voice = Audio(0.1 * np.sin(np.arange(8_000) / 9).astype(np.float32), 8_000)
    assert synthesize(model, None, voice, phonemes=list(model.phonemes.symbols[1:4])).samples.size
    with pytest.raises(TextError, match=r"not ARPAbet .*--language"):
        synthesize(model, "good morning", voice)
    with pytest.raises(TextError, match="is not among the"):
        synthesize(model, "Guten Morgen", voice, pronouncer=EspeakPronouncer("de"))
