"""What a beam search over the residual levels gains and costs, on recordings that no training has seen.

For each beam: the mean squared error of the quantized latents, PESQ-WB and STOI of all levels and of fewer, and the CPU
time of the whole of ``encode`` on one thread. Beams take turns on each clip, and the ratio is of sums of the same run.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from anchors import RESULTS, main, record
from rich.console import Console
from rich.table import Table

_LIMIT = 3.0  # times as long as a beam of 1, at a beam of 8


def beam(
    manifest: Annotated[Path, typer.Argument(help="JSONL manifest.")],
    split: Annotated[str, typer.Option(help="Split of the manifest.")] = "test",
    limit: Annotated[int, typer.Option(min=1, help="Clips, spread over the split.")] = 16,
    beams: Annotated[str, typer.Option(help="Beams, of which the first is compared with.")] = "1,4,8,16,64",
    levels: Annotated[str, typer.Option(help="Numbers of levels to decode from.")] = "1,2,4,8",
    model: Annotated[str, typer.Option(help="Name or folder of a guided codec.")] = "guided-small",
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Score and time an encoding with several beams."""
    import torch

    import vocable
    from vocable.audio import Audio
    from vocable.evaluate.plan import Plan, select_clips
    from vocable.metrics import quality

    torch.set_num_threads(1)
    clips = select_clips(Plan(manifests=(manifest,), split=split, limit=limit))
    widths, kept = ([int(part) for part in text.split(",")] for text in (beams, levels))
    codec = vocable.load(model)
    encoder, quantizer, hop = codec.model.eval().encoder, codec.model.quantizer, codec.spec.hop
    codec.encode(Audio(np.zeros(16_000, np.float32), 16_000))  # warm up
    scores: dict[int, dict[str, list[float]]] = {width: {} for width in widths}
    for utterance in clips.values():
        clip = Audio.read(utterance.audio_path, codec.spec.sample_rate)
        padded = torch.zeros(1, -(-clip.samples.size // hop) * hop)
        padded[0, : clip.samples.size] = torch.from_numpy(clip.samples)
        with torch.inference_mode():
            latents = encoder(padded, torch.ones(1, padded.shape[1] // hop, dtype=torch.bool))
        for width in widths:
            codec.beam = width
            found = scores[width]
            begun = time.process_time()
            tokens = codec.encode(clip)
            found.setdefault("cpu_seconds", []).append(time.process_time() - begun)
            found.setdefault("seconds", []).append(clip.duration)
            for count in kept:
                some = tokens.keep_levels(count)
                with torch.inference_mode():
                    error = float((latents - quantizer.decode(some.ids)).square().mean())
                decoded = codec.decode(some).samples
                values = {
                    "squared_error": error,
                    "pesq_wb": quality.pesq(clip.samples, decoded, 16_000, "wb").value,
                    "stoi": quality.stoi(clip.samples, decoded, 16_000).value,
                }
                for name, value in values.items():
                    found.setdefault(f"{name}@{count}", []).append(value)
    base = sum(scores[widths[0]]["cpu_seconds"])
    results = {
        str(width): {
            "times_as_long": sum(found["cpu_seconds"]) / base,
            "cpu_ms_a_second_of_speech": 1e3 * sum(found["cpu_seconds"]) / sum(found["seconds"]),
            **{name: float(np.mean(values)) for name, values in found.items() if "seconds" not in name},
        }
        for width, found in scores.items()
    }
    most = max(kept)
    table = Table("beam", "times as long", f"squared error, {most} levels", *(f"PESQ-WB, {count}" for count in kept),
                  f"STOI, {most}", title=f"{model}, {len(clips)} clips, one thread")  # fmt: skip
    for width, row in results.items():
        table.add_row(width, f"{row['times_as_long']:.2f}", f"{row[f'squared_error@{most}']:.4f}",
                      *(f"{row[f'pesq_wb@{count}']:.3f}" for count in kept), f"{row[f'stoi@{most}']:.4f}")  # fmt: skip
    Console().print(table)
    if "8" in results and results["8"]["times_as_long"] > _LIMIT:
        print(f"missed: a beam of 8 takes {results['8']['times_as_long']:.2f} times as long, the target is {_LIMIT:g}")
    data = {"manifest": str(manifest), "split": split, "clips": len(clips)}
    record("beam", model, codec, out, data=data, values=results)


if __name__ == "__main__":
    main(beam)
