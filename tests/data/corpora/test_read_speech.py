"""LibriTTS, VCTK, LJ Speech and AISHELL-3, laid out as they are published, become manifests."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.corpora.conftest import lines, no_manifest, silent, sound
from vocable.audio import Audio
from vocable.data.corpora import aishell3, libritts, ljspeech, vctk
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError, InputError

LIBRITTS = "train-clean-100/103/1241"
READERS = """;ID  |SEX| SUBSET           |MINUTES| NAME
103  | F | train-clean-100  | 25.05 | Karen Savage
84   | M | dev-clean        | 8.02  | Christie Nowak
"""
SPEAKERS = """ID  AGE  GENDER  ACCENTS  REGION COMMENTS
p225  23  F    English    Southern  England
p280  25  F    Unknown    France    (mic2 files unavailable)
p302  20  M    Canadian    Montreal
"""
METADATA = (
    "LJ001-0001|Printing, in 1899|Printing, in eighteen ninety nine\n"
    'LJ001-0002|He said "no".|He said "no".\n'
    "LJ050-0278|Only raw|\n"
)


@pytest.fixture
def tts(tmp_path: Path) -> Path:
    """LibriTTS as published: two subsets, texts beside the audio, one in the table of its chapter alone."""
    root = tmp_path / "copy" / "LibriTTS"
    for folder, stem in ((LIBRITTS, "103_1241_000000_000001"), (LIBRITTS, "103_1241_000002_000000"),
                         ("dev-clean/84/121123", "84_121123_000007_000001")):  # fmt: skip
        sound(root / folder / f"{stem}.wav", 24_000)
    first = root / LIBRITTS / "103_1241_000000_000001"
    first.with_suffix(".original.txt").write_text("Chapter 1. Matthew's \u201csurprise\u201d", encoding="utf-8")
    first.with_suffix(".normalized.txt").write_text('Chapter one. Matthew\'s "surprise"\n', encoding="utf-8")
    table = "103_1241_000000_000001\tx\ty\n103_1241_000002_000000\tDr. No\tDoctor No\n"
    (root / LIBRITTS / "103_1241.trans.tsv").write_text(table)
    (root / "SPEAKERS.txt").write_text(READERS)
    return root


@pytest.fixture
def accents(tmp_path: Path) -> Path:
    """VCTK 0.92 as published: two microphones, one speaker without the second, one without texts."""
    root = tmp_path / "VCTK-Corpus-0.92"
    names = [f"{speaker}_{number:03d}" for speaker in ("p225", "p302", "p315") for number in (1, 2)]
    for name in names:
        for mic in (1, 2):
            sound(root / "wav48_silence_trimmed" / name[:4] / f"{name}_mic{mic}.flac", 48_000)
    sound(root / "wav48_silence_trimmed/p280/p280_001_mic1.flac", 48_000)
    for name in (name for name in [*names, "p280_001"] if "p315" not in name):
        (root / "txt" / name[:4]).mkdir(parents=True, exist_ok=True)
        (root / "txt" / name[:4] / f"{name}.txt").write_text("Please call Stella.\n")
    (root / "speaker-info.txt").write_text(SPEAKERS)
    (root / "wav48_silence_trimmed/log.txt").write_text("log")
    return root


@pytest.fixture
def lj(tmp_path: Path) -> Path:
    """LJ Speech as published."""
    root = tmp_path / "LJSpeech-1.1"
    for stem in ("LJ001-0001", "LJ001-0002", "LJ050-0278"):
        sound(root / "wavs" / f"{stem}.wav", 22_050)
    (root / "metadata.csv").write_text(METADATA, encoding="utf-8")
    return root


@pytest.fixture
def mandarin(tmp_path: Path) -> Path:
    """AISHELL-3 as published."""
    root = tmp_path / "data_aishell3"
    for part, name in (("train", "SSB00050001"), ("train", "SSB00050002"), ("test", "SSB00050353"),
                       ("test", "SSB19350001")):  # fmt: skip
        sound(root / part / "wav" / name[:7] / f"{name}.wav", 44_100)
    train = "SSB00050001.wav\t广 guang3 州 zhou1 女 nv3 大 da4\nSSB00050002.wav\t玩 wanr2 儿\n"
    (root / "train/content.txt").write_text(train, encoding="utf-8")
    (root / "test/content.txt").write_text("SSB00050353.wav\t你 ni3 好 hao3 \n", encoding="utf-8")
    (root / "spk-info.txt").write_text("# speaker, age, gender, accent\nSSB0005\tB\tfemale\tnorth\n")
    return root


@pytest.mark.parametrize("above", [False, True])
def test_libritts_has_both_texts_and_its_own_splits(above: bool, tts: Path, tmp_path: Path) -> None:
    said: list[str] = []
    manifest = libritts.prepare(tts.parent if above else tts, tmp_path / "out", say=said.append)
    rows = {row["utt_id"]: row for row in lines(manifest)}
    assert rows["103_1241_000000_000001"] == {
        "audio_path": str(tts / LIBRITTS / "103_1241_000000_000001.wav"), "text": 'Chapter one. Matthew\'s "surprise"',
        "text_raw": "Chapter 1. Matthew's \u201csurprise\u201d", "speaker": "ls-103", "duration": 0.02,
        "gender": "female", "subset": "train-clean-100", "utt_id": "103_1241_000000_000001", "split": "train",
    }  # fmt: skip
    assert rows["103_1241_000002_000000"]["text"] == "Doctor No"
    assert (rows["84_121123_000007_000001"]["split"], rows["84_121123_000007_000001"]["gender"]) == ("dev", "male")
    assert said[0] == "1 recordings have no text, such as 84_121123_000007_000001"
    assert all(one.audio_path.is_file() for one in read_manifest(manifest, "train"))


def test_vctk_takes_one_microphone_and_what_is_known_of_speakers(accents: Path, tmp_path: Path) -> None:
    said: list[str] = []
    rows = {row["utt_id"]: row for row in lines(vctk.prepare(accents, tmp_path / "out", say=said.append))}
    assert len(rows) == 7
    split = rows["p225_001"].pop("split")
    assert rows["p225_001"] == {
        "audio_path": str(accents / "wav48_silence_trimmed/p225/p225_001_mic1.flac"), "text": "Please call Stella.",
        "speaker": "vctk-p225", "duration": 0.02, "gender": "female", "age": 23, "accent": "English",
        "utt_id": "p225_001",
    }  # fmt: skip
    assert split == rows["p225_002"]["split"]
    assert "accent" not in rows["p280_001"]
    assert {"6 recordings of a second microphone left out", "2 recordings have no text, such as p315_001"} <= set(said)
    (accents / "wav48_silence_trimmed/p302/p302_001_mic1.flac").unlink()
    rows = {row["utt_id"]: row for row in lines(vctk.prepare(accents, tmp_path / "again", say=silent))}
    assert rows["p302_001"]["audio_path"].endswith("p302_001_mic2.flac")


def test_vctk_of_version_0_80_and_of_one_speaker(tmp_path: Path) -> None:
    root = tmp_path / "VCTK-Corpus"
    for number in (1, 2, 3):
        sound(root / f"wav48/p225/p225_{number:03d}.wav", 48_000)
    (root / "speaker-info.txt").write_text("ID  AGE  GENDER  ACCENTS  REGION\n225  23  F    English    Southern\n")
    said: list[str] = []
    rows = lines(vctk.prepare(tmp_path, tmp_path / "out", say=said.append))
    assert sorted(row["split"] for row in rows) == ["dev", "test", "train"]
    assert {row["gender"] for row in rows} == {"female"}
    assert any(line.startswith("1 speaker cannot be shared by 3 splits: recordings are shared") for line in said)


def test_ljspeech_has_both_texts(lj: Path, tmp_path: Path) -> None:
    rows = {row["utt_id"]: row for row in lines(ljspeech.prepare(lj, tmp_path / "out", say=silent))}
    assert rows["LJ001-0001"]["text"] == "Printing, in eighteen ninety nine"
    assert rows["LJ001-0001"]["text_raw"] == "Printing, in 1899"
    assert rows["LJ001-0002"]["text"] == 'He said "no".'
    assert rows["LJ050-0278"]["text"] == "Only raw"
    assert {row["speaker"] for row in rows.values()} == {"lj"}
    assert sorted(row["split"] for row in rows.values()) == ["dev", "test", "train"]


def test_what_a_table_and_the_recordings_lack_of_each_other_is_said(lj: Path, tmp_path: Path) -> None:
    (lj / "wavs/LJ001-0002.wav").unlink()
    sound(lj / "wavs/LJ002-0001.wav", 22_050)
    (lj / "metadata.csv").write_text(METADATA + "LJ003-0001\n", encoding="utf-8")
    said: list[str] = []
    ljspeech.prepare(lj, tmp_path / "out", say=said.append)
    assert said[0].endswith("left out: they are not ID|TEXT|NORMALIZED TEXT")
    assert said[1:3] == [
        "1 recordings have no text, such as LJ002-0001",
        "1 lines of metadata.csv match no recording, such as LJ001-0002",
    ]


def test_aishell3_has_characters_and_pinyin(mandarin: Path, tmp_path: Path) -> None:
    said: list[str] = []
    rows = {row["utt_id"]: row for row in lines(aishell3.prepare(mandarin, tmp_path / "out", say=said.append))}
    assert rows["SSB00050001"] == {
        "audio_path": str(mandarin / "train/wav/SSB0005/SSB00050001.wav"), "text": "广州女大",
        "pinyin": ["guang3", "zhou1", "nv3", "da4"], "speaker": "aishell3-SSB0005", "duration": 0.02,
        "gender": "female", "age_group": "B", "accent": "north", "language": "zh", "utt_id": "SSB00050001",
        "split": "train",
    }  # fmt: skip
    assert (rows["SSB00050002"]["text"], rows["SSB00050002"]["pinyin"]) == ("玩儿", ["wanr2"])
    assert rows["SSB00050353"]["split"] == "test"
    assert said[0] == "1 recordings have no text, such as SSB19350001"


@pytest.mark.parametrize(
    ("corpus", "fixture", "victim"),
    [
        (libritts.prepare, "tts", f"{LIBRITTS}/103_1241_000000_000001.wav"),
        (vctk.prepare, "accents", "wav48_silence_trimmed/p225/p225_001_mic1.flac"),
        (ljspeech.prepare, "lj", "wavs/LJ001-0001.wav"),
        (aishell3.prepare, "mandarin", "train/wav/SSB0005/SSB00050001.wav"),
    ],
)
def test_a_damaged_and_a_misnamed_recording_are_named_and_the_others_go_on(
    corpus: Callable[..., Path], fixture: str, victim: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root = request.getfixturevalue(fixture)
    shutil.copy(root / victim, (root / victim).with_name(f"copy of {Path(victim).name}"))
    (root / victim).write_text("words")
    said: list[str] = []
    rows = lines(corpus(root, tmp_path / "out", say=said.append))
    assert rows
    assert all(row["audio_path"] != str(root / victim) for row in rows)
    assert any(Path(victim).name in line and line.startswith("left out") for line in said)
    assert any("copy of" in line and "does not follow the corpus" in line for line in said)


def test_a_text_that_is_no_utf8_costs_one_text(tts: Path, tmp_path: Path) -> None:
    (tts / LIBRITTS / "103_1241_000000_000001.normalized.txt").write_bytes(b"caf\xe9")
    said: list[str] = []
    rows = {row["utt_id"]: row for row in lines(libritts.prepare(tts, tmp_path / "out", say=said.append))}
    assert rows["103_1241_000000_000001"]["text"].startswith("Chapter 1.")
    assert any(line.startswith("no text: ") and "is not UTF-8" in line for line in said)


def test_splits_that_a_corpus_has_not_are_refused(lj: Path, accents: Path, tts: Path, tmp_path: Path) -> None:
    for corpus, root in ((ljspeech, lj), (vctk, accents)):
        with pytest.raises(ConfigError, match="split is 'official'"):
            corpus.prepare(root, tmp_path / "out", split="official")
    with pytest.raises(ConfigError, match="split is 'random'"):
        libritts.prepare(tts, tmp_path / "out", split="random")
    no_manifest(tmp_path / "out")


def test_real_speech_in_the_layout_of_vctk_can_be_read(tmp_path: Path) -> None:
    """A clip at 48 kHz, with a text that Windows wrote."""
    root = tmp_path / "VCTK"
    for speaker in ("p225", "p226", "s5"):
        path = sound(root / f"wav48_silence_trimmed/{speaker}/{speaker}_001_mic1.flac", 48_000)
        (root / f"txt/{speaker}").mkdir(parents=True)
        (root / f"txt/{speaker}/{speaker}_001.txt").write_bytes("\ufeffAsk her.\r\n".encode())
    rows = lines(vctk.prepare(root, tmp_path / "out", say=silent))
    assert {row["text"] for row in rows} == {"Ask her."}
    assert Audio.read(path).sample_rate == 48_000


@pytest.mark.parametrize("corpus", [libritts, vctk, ljspeech, aishell3])
def test_a_folder_without_the_corpus_says_what_was_looked_for(corpus: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no .* \(looked for"):
        corpus.prepare(tmp_path, tmp_path / "out")  # type: ignore[attr-defined]
