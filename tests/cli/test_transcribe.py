"""``vocable transcribe``: texts for recordings that have none, what is kept of them, and what is left as it was."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from vocable import load_recognizer, transcribe
from vocable.audio import Audio
from vocable.corpus.transcripts import why_distrusted, write_transcripts
from vocable.data.alignment.record import Alignment, ScoredAlignment, Segment
from vocable.data.manifest import read_manifest
from vocable.errors import AlignmentError, ConfigError, OutputError
from vocable.evaluate.judges import find
from vocable.interfaces import Recognition

RATE = 16_000
ANSWERS = {  # by the hundredths of the first sample
    10: Recognition(text="Good morning, world.", log_probability=-0.1),
    20: Recognition(text="mumble", log_probability=-1.5),
    30: Recognition(text="and so and so and so and so", log_probability=-0.05, is_loop=True),
    40: Recognition(text=""),
}


class Scripted:
    """A recognizer of English that answers by the level of a clip."""

    name, language = "scripted-1.0", "en"

    def transcribe(self, clip: Audio) -> str:
        return self.recognize(clip).text.lower()

    def recognize(self, clip: Audio) -> Recognition:
        return ANSWERS[round(100 * float(clip.samples[0]))]


class Even:
    """An aligner that gives every phone the same time."""

    name = "even"

    def phones(self, clip: Audio, words: list[list[str]]) -> ScoredAlignment:
        phones = [phone for word in words for phone in word]
        if len(phones) > 30:
            raise AlignmentError("too many phones")
        step = clip.duration / len(phones)
        return ScoredAlignment(
            Alignment(tuple(Segment(one, at * step, (at + 1) * step) for at, one in enumerate(phones))), 0.0
        )


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of recordings with and without texts, one that is no audio, and one in German."""
    monkeypatch.setitem(find._SCORERS["recognizer"], "moonshine", Scripted)
    monkeypatch.setattr("vocable.data.alignment.make.find_optional_aligner", lambda say: Even())
    (tmp_path / "audio").mkdir()
    for level in ANSWERS:
        Audio(np.full(RATE, level / 100, dtype=np.float32), RATE).write(tmp_path / f"audio/{level}.wav")
    (tmp_path / "audio/bad.wav").write_bytes(b"no audio")
    lines = [
        {
            "audio_path": "audio/10.wav",
            "text": None,
            "speaker": "s1",
            "split": "train",
            "mood": ["calm", {"sure": 0.5}],
        },
        {"audio_path": "audio/10.wav", "text": "I was here before", "phones": [["AY"]], "duration": 1.0},
        {"audio_path": "audio/20.wav", "gender": "female"},
        {"audio_path": "audio/30.wav", "text": ""},
        {"audio_path": "audio/bad.wav", "speaker": "s2"},
        {"audio_path": "audio/40.wav"},
        {"audio_path": "audio/10.wav", "language": "de"},
    ]
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_a_manifest_keeps_every_key_and_gets_the_texts_that_are_trusted(run: Run, corpus: Path) -> None:
    out = corpus.parent / "texts.jsonl"
    before = corpus.read_bytes()
    code, printed, err = run("transcribe", corpus, "-o", out)
    assert code == 1  # one file is no audio
    assert corpus.read_bytes() == before
    old, new = rows(corpus), rows(out)
    assert len(new) == len(old)
    for was, now in zip(old, new, strict=True):
        assert was.keys() <= now.keys()
        assert all(now[key] == value for key, value in was.items() if value not in (None, ""))
    assert new[0]["text"] == "Good morning, world."
    assert new[0]["text_by"] == "scripted-1.0"
    assert new[0]["text_log_probability"] == -0.1
    words = new[0]["word_times"]
    assert [word for word, _, _ in words] == ["good", "morning", "world"]
    assert [0 <= start < end <= 1 for _, start, end in words] == [True] * 3
    assert new[1]["text"] == "I was here before"
    assert "text_by" not in new[1]
    assert [word for word, _, _ in new[1]["word_times"]] == ["i", "was", "here", "before"]
    for row in new[2:]:
        assert not row.get("text")
        assert "text_by" not in row
    assert "20.wav: left without a text: its mean log-probability is -1.50, under -0.3" in printed
    assert "30.wav: left without a text: the recognizer repeats itself" in printed
    assert "40.wav: left without a text: no words are recognized" in printed
    assert "it is in 'de', and scripted-1.0 knows 'en' alone" in printed
    assert "1 of 5 recordings without a text have one now, 4 do not; 1 had one" in printed
    assert "bad.wav" in err
    assert len(read_manifest(out)) == len(old)


def test_without_times_there_are_none_and_the_line_of_a_file_has_its_duration(run: Run, corpus: Path) -> None:
    out = corpus.parent / "texts.jsonl"
    assert run("transcribe", corpus.parent / "audio/10.wav", "-o", out, "--no-times")[0] == 0
    (line,) = read_manifest(out)
    assert line.text == "Good morning, world."
    assert "word_times" not in line.extra
    assert line.duration == 1.0
    assert rows(out)[0]["audio_path"] == "audio/10.wav"


def test_the_bound_is_an_option_and_a_file_that_exists_stays(run: Run, corpus: Path) -> None:
    out = corpus.parent / "texts.jsonl"
    code, _, _ = run("transcribe", corpus.parent / "audio/20.wav", "-o", out, "--no-times", "--least", "-2")
    assert (code, rows(out)[0]["text"]) == (0, "mumble")
    kept = out.read_bytes()
    code, _, err = run("transcribe", corpus.parent / "audio/10.wav", "-o", out, "--no-times")
    assert code == 1
    assert "texts.jsonl" in err
    assert out.read_bytes() == kept
    assert run("transcribe", corpus.parent / "audio/10.wav", "-o", out, "--no-times", "--overwrite")[0] == 0
    assert rows(out)[0]["text"] == "Good morning, world."


def test_what_is_stopped_is_written_and_goes_on_from_there(corpus: Path) -> None:
    (corpus.parent / "audio/bad.wav").unlink()
    first, second = corpus.parent / "first.jsonl", corpus.parent / "second.jsonl"

    def stop(finished: int, total: int, seconds: float) -> None:
        raise KeyboardInterrupt

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        write_transcripts(Scripted(), "one", [corpus.parent / "audio"], first, say=said.append, watch=stop)
    assert said[-1].endswith("stopped after 1 of 4 recordings; pass it as the input to go on")
    assert [row.get("text") for row in rows(first)] == ["Good morning, world.", None, None, None]
    write_transcripts(Scripted(), "two", [first], second, least=-2.0, say=said.append)
    assert [row.get("text_by") for row in rows(second)] == ["one", "two", None, None]


@pytest.mark.parametrize("target", ["manifest.jsonl", "audio/10.wav"])
def test_no_input_is_written_over(run: Run, corpus: Path, target: str) -> None:
    path = corpus.parent / target
    before = path.read_bytes()
    code, _, _ = run("transcribe", corpus, "-o", path, "--no-times", "--overwrite")
    assert code == 1
    assert path.read_bytes() == before
    with pytest.raises(OutputError):
        write_transcripts(Scripted(), "scripted", [corpus], path, overwrite=True, say=lambda line: None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("audio/10.wav", "-o", "texts"), "texts are written into a manifest"),
        (("audio/10.wav", "-o", "new.wav"), "name a file that ends in .jsonl"),
        (("audio/10.wav", "-o", "new.jsonl", "--least", "nan"), "no number from"),
        (("audio/10.wav", "-o", "new.jsonl", "--least", "0.5"), "no number from"),
        (("audio/10.wav", "--device", "foo"), "foo"),
        (("nowhere.jsonl", "-o", "new.jsonl"), "nowhere.jsonl"),
        (("audio/none*.wav",), "none*.wav"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    run: Run, corpus: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(corpus.parent)
    before = sorted(corpus.parent.rglob("*"))
    code, _, err = run("transcribe", *words)
    assert code in (1, 2)
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
    assert sorted(corpus.parent.rglob("*")) == before


def test_a_recognizer_is_loaded_by_its_name_alone(untyped: None) -> None:
    with pytest.raises(ConfigError, match="not by int"):
        load_recognizer(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'best' is no recognizer"):
        load_recognizer("best")


def test_a_folder_is_printed_and_what_is_uncertain_is_said(run: Run, corpus: Path) -> None:
    (corpus.parent / "audio/bad.wav").unlink()
    code, printed, err = run("transcribe", corpus.parent / "audio")
    assert code == 0
    texts = [line.split("\t")[1] for line in printed.splitlines()]
    assert texts == ["Good morning, world.", "mumble", "and so and so and so and so", ""]
    assert err.count("uncertain: ") == 3
    code, printed, _ = run("transcribe", corpus.parent / "audio/10.wav", "--json")
    row = json.loads(printed)
    assert (row["text"], row["words"]) == ("Good morning, world.", ["good", "morning", "world"])
    assert row["text_log_probability"] == -0.1


def test_an_unknown_model_is_answered_with_recognizers_and_tokenizers(run: Run, corpus: Path) -> None:
    code, _, err = run("transcribe", corpus.parent / "audio/10.wav", "--model", "best")
    assert code == 1
    for name in ("moonshine", "pocketsphinx", "ctap-small"):
        assert name in err
    code, _, err = run("transcribe", corpus.parent / "audio/10.wav", "--model", "guided-small")
    assert code == 1
    assert "recognizes no phonemes" in err


@pytest.mark.slow
def test_a_tokenizer_writes_the_words_it_finds(run: Run, corpus: Path, model: Path) -> None:
    out = corpus.parent / "texts.jsonl"
    code, _, _ = run("transcribe", corpus.parent / "audio/10.wav", "-o", out, "--model", model, "--no-times")
    assert code == 0
    row = rows(out)[0]
    assert row.get("text_by", model.name).startswith(model.name)


def test_python_takes_a_recognizer_or_a_tokenizer() -> None:
    transcript = transcribe(Scripted(), Audio(np.full(RATE, 0.1, dtype=np.float32), RATE))
    assert transcript.text == "Good morning, world."
    assert transcript.words == ("good", "morning", "world")
    assert transcript.segments == ()
    assert why_distrusted(transcript) == ""
    assert why_distrusted(transcript, least=-0.05) == "its mean log-probability is -0.10, under -0.05"


@pytest.mark.slow
def test_real_speech_gets_its_words_and_their_times(run: Run, tmp_path: Path, speech_data: Path) -> None:
    source = speech_data / "read_librispeech" / "manifest.jsonl"
    line = min((one for one in read_manifest(source, "test")), key=lambda one: one.duration or 99)
    manifest = tmp_path / "one.jsonl"
    manifest.write_text(json.dumps({"audio_path": str(line.audio_path), "split": "dev"}) + "\n")
    code, printed, _ = run("transcribe", manifest, "-o", tmp_path / "out.jsonl")
    assert code == 0
    (row,) = rows(tmp_path / "out.jsonl")
    assert row["split"] == "dev"
    assert row["text_by"].startswith("moonshine-tiny.en-")
    ends = [end for _, _, end in row["word_times"]]
    assert ends == sorted(ends)
    assert ends[-1] <= (line.duration or 0) + 0.1
    assert "1 of 1 recordings without a text have one now" in printed
    assert run("data", "align", tmp_path / "out.jsonl", "--out", tmp_path / "aligned.jsonl")[0] == 0
    (aligned,) = rows(tmp_path / "aligned.jsonl")
    assert row.items() <= aligned.items()
    assert aligned["alignment"]
