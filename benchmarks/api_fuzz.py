"""Call the public interface with hostile arguments, at random: ``python benchmarks/api_fuzz.py [CALLS] [SEED]``.

Prints how the calls ended, and every exception that is not one of vocable. The result of 10,000 calls of seed 0 is
``results/api_fuzz.json``.
"""

import json
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.api_fuzz import Fuzz  # noqa: E402


def main() -> None:
    words = [int(word) for word in sys.argv[1:]]
    calls, seed = (*words, 10_000, 0)[0], (*words, 10_000, 0)[1] if len(words) > 1 else 0
    torch.set_num_threads(1)
    fuzz = Fuzz(seed)
    fuzz.run(calls)
    print(*sorted(set(fuzz.faults)), sep="\n")
    result = {
        "calls": fuzz.calls, "seed": seed, "functions": len(fuzz.called), "faults": len(fuzz.faults),
        "ended": dict(sorted(fuzz.ended.items())),
    }  # fmt: skip
    print(json.dumps(result))
    (ROOT / "benchmarks" / "results" / "api_fuzz.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(bool(fuzz.faults))


if __name__ == "__main__":
    main()
