"""CosyVoice's text side and unit model by our names, to begin from: without them a frozen unit model knows nothing."""

import re
from collections.abc import Mapping

from torch import Tensor

from vocable.errors import CheckpointError
from vocable.systems.taste.model import TasteModel

_NAMES = (  # of CosyVoice, and ours
    (r"^text_embedding\.", "text.table."),
    (r"^text_encoder_affine_layer\.", "text.leave."),
    (r"^text_encoder\.", "text.encoder."),
    (r"^llm_embedding\.", "lm.special."),
    (r"^llm_decoder\.", "lm.head."),
    (r"^speech_embedding\.", "lm.table."),
    (r"^spk_embed_affine_layer\.", "lm.voice."),
    (r"^llm\.", "lm.blocks."),
    (r"\.embed\.out\.", ".enter."),
    (r"\.after_norm\.", ".norm."),
    (r"\.encoders\.", ".blocks."),
    (r"\.self_attn\.linear_q\.", ".query."),
    (r"\.self_attn\.linear_k\.", ".key."),
    (r"\.self_attn\.linear_v\.", ".value."),
    (r"\.self_attn\.linear_out\.", ".out."),
    (r"\.self_attn\.linear_pos\.", ".distance."),
    (r"\.self_attn\.pos_bias_u$", ".content_bias"),
    (r"\.self_attn\.pos_bias_v$", ".distance_bias"),
    (r"\.feed_forward\.w_1\.", ".expand."),
    (r"\.feed_forward\.w_2\.", ".contract."),
    (r"\.(norm1|norm_mha)\.", ".before."),
    (r"\.(norm2|norm_ff)\.", ".between."),
)


def begin_from_cosyvoice(model: TasteModel, state: Mapping[str, Tensor], where: str = "llm.pt") -> None:
    """Give a model the weights of CosyVoice's ``llm.pt``; aggregator, fusion and quantizer stay as they are.

    Args:
        model: Such as ``seed_exact`` makes; with the same sizes as the file.
        state: The file's tensors, as ``vocable.features.pickled.read_pickled`` gives them.
        where: The file, in messages.

    Raises:
        CheckpointError: A tensor is missing, of another shape, or not of this model.

    Source:
        github.com/FunAudioLLM/CosyVoice (Apache-2.0) ``cosyvoice/llm/llm.py``.
    """
    found = {_ours(name): value for name, value in state.items()}
    own = {name: value for name, value in model.state_dict().items() if name.startswith(("text.", "lm."))}
    other = sorted(found.keys() ^ own.keys())
    if other:
        kind = "has no" if other[0] in own else "has an unknown"
        raise CheckpointError(f"{where}: {kind} {other[0]}; give the llm.pt of CosyVoice-300M, and a model like it")
    for name, value in found.items():
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"{where}: {name} is of {tuple(value.shape)}, not {tuple(own[name].shape)}; give a model of its sizes"
            )
    model.load_state_dict(found, strict=False)


def _ours(name: str) -> str:
    for theirs, ours in _NAMES:
        name = re.sub(theirs, ours, name)
    return name
