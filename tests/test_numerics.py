"""Tokens do not depend on the state of their caller, and nothing of that state is left changed."""

import copy
import json
import multiprocessing
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vocable
from tests.models import ready, ready_ctap, ready_speaker
from vocable.audio import Audio
from vocable.errors import AudioError, SpecError
from vocable.features.spectrogram import hann, mel_filters
from vocable.numerics import caller_numerics, from_caller, is_reference, reference_numerics, reproducible
from vocable.states import CALLER_STATES, MODEL_CHANGES, read_state
from vocable.systems.base import BaseTokenizer
from vocable.systems.registry import systems
from vocable.testing import compare_devices, speechlike
from vocable.vocoders import istft

CLIP = speechlike(9_000)
ROOT = Path(__file__).parents[1]
REFERENCE = {
    "default dtype": torch.float32, "default device": torch.device("cpu"), "gradients": False, "inference mode": False,
    "deterministic": 0, "oneDNN": (True, False), "NNPACK": True, "opt_einsum": False, "transformers": True,
    "attention": (True, True, True), "modes": (0, 0), "hooks": 0, "threads": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", CALLER_STATES)
def test_every_state_is_set_aside_and_comes_back(name: str) -> None:
    outside = read_state()
    with CALLER_STATES[name]():
        before = read_state()
        with reference_numerics():
            inside = read_state()
            assert {key: inside[key] for key in REFERENCE} == REFERENCE
            assert set(inside["float32 products"]) <= {"none", "ieee"}
            assert not inside["autocast"][0]
            with caller_numerics():
                assert not is_reference()
                assert read_state() == before
            assert is_reference()
            assert read_state() == inside
        assert read_state() == before
        with pytest.raises(KeyError), reference_numerics():
            raise KeyError("in the reference state")
        assert read_state() == before
    assert read_state() == outside


@pytest.mark.parametrize("tokenizer", [ready("seanet"), ready_ctap(), ready_speaker()], ids=lambda one: one.system)
@pytest.mark.parametrize("name", ["default dtype float16", "device meta", "autocast to bfloat16", "inference mode"])
def test_one_call_in_a_state_poisons_no_cache(tokenizer: BaseTokenizer[Any], name: str) -> None:
    expected = tokenizer.encode(CLIP)
    samples = tokenizer.decode(expected).samples
    for cached in (hann, mel_filters, istft._bin_weights):
        cached.cache_clear()
    with CALLER_STATES[name]():
        first = tokenizer.encode(CLIP)
        tokenizer.decode(first)
    for tokens in (first, tokenizer.encode(CLIP)):
        assert torch.equal(tokens.ids, expected.ids)
        assert np.array_equal(tokenizer.decode(tokens).samples, samples)
    assert not hann(640).is_inference()  # a loss may need its gradient


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLER_STATES)
def test_a_model_that_is_loaded_in_a_state_is_the_model(name: str) -> None:
    expected = vocable.load("guided-small").encode(CLIP)
    with CALLER_STATES[name]():
        loaded = vocable.load("guided-small")
    assert torch.equal(loaded.encode(CLIP).ids, expected.ids)
    assert not any(one.is_inference() or not one.requires_grad for one in loaded.model.parameters())


def test_blocks_are_made_and_used_in_the_callers_state() -> None:
    """Between two blocks the state is the caller's, also where the generator changes it."""
    tokenizer = ready("spectral")
    expected = tokenizer.encode(CLIP)
    seen = []

    def blocks() -> Iterator[np.ndarray]:
        with torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
            for start in range(0, 9_000, 1_000):
                seen.append((torch.is_autocast_enabled("cpu"), torch.empty(1).device.type, torch.is_grad_enabled()))
                yield CLIP.samples[start : start + 1_000]

    before = read_state()
    assert torch.equal(tokenizer.encode_blocks(blocks()).ids, expected.ids)
    assert seen == [(True, "meta", True)] * 9
    with torch.autocast("cpu", torch.bfloat16):
        inside = read_state()
        parts = []
        for part in tokenizer.decode_blocks(expected):
            parts.append(part)
            assert read_state() == inside
        half_way = tokenizer.decode_blocks(expected)
        next(half_way)
        assert read_state() == inside
        half_way.close()
    assert np.array_equal(np.concatenate(parts), tokenizer.decode(expected).samples)
    assert read_state() == before


def test_a_generator_that_fails_leaves_nothing_changed() -> None:
    def blocks() -> Iterator[np.ndarray]:
        yield CLIP.samples[:500]
        raise KeyError("no more")

    torch.set_default_dtype(torch.float64)
    try:
        before = read_state()
        with pytest.raises(KeyError, match="no more"):
            ready("spectral").encode_blocks(blocks())
        with pytest.raises(AudioError):
            ready("spectral").encode_blocks([])
        assert read_state() == before
    finally:
        torch.set_default_dtype(torch.float32)


def test_threads_share_one_guard() -> None:
    tokenizer = ready("spectral")
    clips = [speechlike(2_000 + 700 * index, seed=index) for index in range(8)]
    expected = [tokenizer.encode(clip).ids for clip in clips]
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    try:
        before = read_state()
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(tokenizer.encode, clips * 4))
        assert all(torch.equal(one.ids, ids) for one, ids in zip(made, expected * 4, strict=True))
        assert read_state() == before
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)


def test_a_setting_that_the_caller_changes_meanwhile_is_kept() -> None:
    started, done = threading.Event(), threading.Event()

    @reproducible
    def compute() -> torch.dtype:
        started.set()
        done.wait(10)
        return torch.get_default_dtype()

    torch.set_default_dtype(torch.float64)
    try:
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(compute)
            started.wait(10)
            torch.set_default_dtype(torch.bfloat16)
            done.set()
            future.result()
        assert torch.get_default_dtype() == torch.bfloat16
    finally:
        torch.set_default_dtype(torch.float32)


def _child(queue: Any) -> None:
    queue.put((torch.get_default_dtype(), ready("spectral").encode(CLIP).ids.numpy(), torch.get_default_dtype()))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on this system")
def test_a_process_that_forks_while_another_thread_computes_has_its_own_guard() -> None:
    expected = ready("spectral").encode(CLIP).ids.numpy()
    started, done = threading.Event(), threading.Event()

    @reproducible
    def compute() -> None:
        started.set()
        done.wait(60)

    torch.set_default_dtype(torch.float64)
    thread = threading.Thread(target=compute)
    try:
        thread.start()
        started.wait(10)
        assert torch.get_default_dtype() == torch.float32  # of the process, while a thread computes
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=_child, args=(queue,))
        child.start()
        before, ids, after = queue.get(timeout=60)
        child.join(10)
    finally:
        done.set()
        thread.join()
        torch.set_default_dtype(torch.float32)
    assert before == after == torch.float64
    assert np.array_equal(ids, expected)


@pytest.mark.parametrize("name", MODEL_CHANGES)
def test_a_changed_model_is_exact_or_refused(name: str) -> None:
    allowed = {"frozen", "in training mode", "in shared memory", "with weights in new memory"}
    tokenizer = copy.deepcopy(ready_ctap())
    expected = tokenizer.encode(CLIP)
    MODEL_CHANGES[name](tokenizer.model)
    if name in allowed | {"with weights anywhere in memory"}:
        tokens = tokenizer.encode(CLIP)
        assert torch.equal(tokens.ids, expected.ids)
        assert torch.equal(tokens.voice, expected.voice)
        return
    for call in (lambda: tokenizer.encode(CLIP), lambda: tokenizer.embed(expected), lambda: tokenizer.decode(expected)):
        with pytest.raises(SpecError, match=r"the networks of this CtapTokenizer were changed: .*load it again"):
            call()


@pytest.mark.parametrize(
    "change",
    [
        lambda model: next(model.parameters()).data.mul_(1.5),
        lambda model: next(model.parameters()).detach().numpy().fill(0.25),
        lambda model: next(model.children()).half(),
        lambda model: torch.nn.utils.parametrizations.weight_norm(next(_linears(model))),
        lambda model: setattr(model, "quantizer", copy.deepcopy(model.quantizer).double()),
    ],
    ids=["data", "numpy", "half of one part", "parametrization", "a layer of another type"],
)
def test_other_changes_are_refused(change: Any) -> None:
    tokenizer = copy.deepcopy(ready("spectral"))
    expected = tokenizer.encode(CLIP)
    change(tokenizer.model)
    with pytest.raises(SpecError, match="were changed"):
        tokenizer.encode(CLIP)
    with pytest.raises(SpecError, match="were changed"):
        tokenizer.decode_batch(expected)


def _linears(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    return (module for module in model.modules() if isinstance(module, torch.nn.Linear))


def test_a_copy_is_the_same_tokenizer() -> None:
    tokenizer = ready("spectral")
    expected = tokenizer.encode(CLIP)
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert torch.equal(other.encode(CLIP).ids, expected.ids)


def test_a_compiled_part_computes_as_it_is_written() -> None:
    tokenizer = copy.deepcopy(ready("spectral"))
    expected = tokenizer.encode(CLIP)
    calls = []

    def backend(graph: torch.fx.GraphModule, inputs: object) -> Any:
        calls.append(graph)
        return lambda *args: graph.forward(*args)

    tokenizer.model.encoder.compile(backend=backend)
    assert torch.equal(tokenizer.encode(CLIP).ids, expected.ids)
    assert not calls


@pytest.mark.slow
def test_random_states_are_neither_used_nor_moved() -> None:
    tokenizer, speaker = ready_ctap(), ready_speaker()
    tokens = tokenizer.encode(CLIP)
    before = read_state()
    tokenizer.decode(tokens)
    tokenizer.convert(CLIP, CLIP)
    speaker.sample([{}], seed=3)
    vocable.load("guided-small")
    vocable.generate(speaker, seed=1)
    vocable.check_tokenizer(ready("spectral"), [CLIP])
    assert read_state() == before


def test_every_public_method_of_every_system_is_guarded() -> None:
    """Also of systems of other packages: the base class sees to it."""
    for system in systems().values():
        for kind in system.tokenizer.__mro__[:-1]:
            if not issubclass(kind, BaseTokenizer):
                continue
            for name, member in vars(kind).items():
                function = getattr(member, "__func__", member)
                if name.startswith("_") or not callable(function) or isinstance(function, type):
                    continue
                names = ("save", "describe", "check_tokens", "check_clip", "select_levels")
                assert hasattr(function, "__wrapped__") or name in names or kind is BaseTokenizer, (kind, name)


def test_samples_of_a_caller_that_are_no_array_of_numbers_are_refused(untyped: None) -> None:
    for samples in (np.ma.array([0.1]), np.array([1j]), np.array(["a"]), [[0.1], [0.2, 0.3]], object()):
        with pytest.raises(AudioError, match="samples"):
            Audio(samples, 8_000)
    grown = torch.zeros(100).requires_grad_()
    with pytest.raises(AudioError, match="requires grad"):
        Audio(grown, 8_000)


def test_warnings_that_are_errors_stop_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fixed = CLIP.samples.copy()
        fixed.setflags(write=False)
        tokenizer = ready("spectral")
        tokens = tokenizer.encode(Audio(fixed, 16_000))
        decoded = tokenizer.decode(tokens)
    assert tokens == tokenizer.encode(CLIP)
    assert decoded == tokenizer.decode(tokens)


def test_items_of_the_caller_outside_the_guard_are_its_own() -> None:
    assert list(from_caller([1, 2])) == [1, 2]
    with caller_numerics():
        assert not is_reference()


def test_devices_are_compared_in_words() -> None:
    sentence = compare_devices(ready("spectral"), [CLIP], device="cpu")
    equal, _, total = sentence.split()[:3]
    assert sentence.endswith("ids on cpu are those on the CPU")
    assert equal == total


@pytest.mark.slow
def test_comparisons_over_batch_cut_threads_state_and_process_in_short(tmp_path: Path) -> None:
    """The whole of it is ``benchmarks/caller.py``, with its result in ``benchmarks/results/caller.json``."""
    options = ["--model", "guided-small", "--model", "vqalattent-fsdd", "--comparisons", "150", "--out", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "benchmarks/caller.py", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    total = json.loads((tmp_path / "caller.json").read_text())["values"]["all"]
    assert total["mismatches"] == 0
    assert total["comparisons"] >= 300
    axes = {name.partition(":")[0] for name in total if ":" in name}
    assert axes == {"padding", "process", "state", "threads", "way"}
