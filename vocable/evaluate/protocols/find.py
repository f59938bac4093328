"""Evaluations by name."""

from collections.abc import Callable
from pathlib import Path

from vocable.errors import ConfigError
from vocable.evaluate.benchmark import Evaluation
from vocable.evaluate.plan import Plan
from vocable.evaluate.protocols.codes import Codes
from vocable.evaluate.protocols.ctap_seed import CtapSeed
from vocable.evaluate.protocols.guided_levels import GuidedLevels
from vocable.evaluate.protocols.guided_seed import GuidedSeed
from vocable.evaluate.protocols.outside import Outside
from vocable.evaluate.protocols.taste_doctor import TasteDoctor
from vocable.evaluate.protocols.taste_seed import TasteSeed
from vocable.evaluate.protocols.taste_units import TasteUnits
from vocable.evaluate.protocols.vqalattent_paper import VqalattentPaper
from vocable.evaluate.reconstruction import Reconstruction
from vocable.systems import hub

PROTOCOLS: dict[tuple[str, str], Callable[[Plan, Path], Evaluation]] = {
    ("ctap", "seed"): CtapSeed,
    ("ctap", "codes"): Codes,
    ("supervised", "codes"): Codes,
    ("guided", "levels"): GuidedLevels,
    ("guided", "seed"): GuidedSeed,
    ("taste", "doctor"): TasteDoctor,
    ("taste", "seed"): TasteSeed,
    ("taste", "units"): TasteUnits,
    ("vqalattent", "paper"): VqalattentPaper,
}
OF_ANY: dict[str, Callable[[Plan, Path], Evaluation]] = {"outside": Outside}  # whatever the system, and several of them


def find_protocol(name: str | None, plan: Plan) -> Callable[[Plan, Path], Evaluation]:
    """What builds an evaluation from its plan and folder; without a name, the reconstruction of every clip.

    Raises:
        ConfigError: The tokenizer's system has no such protocol; the message lists those that exist.
        CheckpointError: The tokenizer cannot be loaded.
    """
    if name is None:
        return Reconstruction
    systems = {hub.system_of(tokenizer) for tokenizer in plan.tokenizers}
    if systems and name in OF_ANY:
        return OF_ANY[name]
    if not systems:
        raise ConfigError(f"--protocol {name} is for one tokenizer; 0 are named")
    if len(systems) > 1:
        raise ConfigError(f"--protocol {name} is for one system; these are of {', '.join(sorted(systems))}")
    (system,) = systems
    if (system, name) not in PROTOCOLS:
        known = ", ".join([*(f"{protocol} (for {owner})" for owner, protocol in PROTOCOLS), *OF_ANY])
        raise ConfigError(f"--protocol {name}: {plan.tokenizers[0]} is of {system}, which has none; there are {known}")
    protocol = PROTOCOLS[system, name]
    if len(plan.tokenizers) > 1 and not getattr(protocol, "several", False):
        raise ConfigError(f"--protocol {name} is for one tokenizer; {len(plan.tokenizers)} are named")
    return protocol
