"""CosyVoice's published weights as the beginning of the seed's training, ``vocable train taste-seed --init``."""

from collections.abc import Mapping

from torch import Tensor

from vocable.errors import CheckpointError
from vocable.folder import Migration
from vocable.systems.taste.model import TasteModel

_TENSORS = (  # of CosyVoice, and of TasteModel
    (r"^text_embedding\.", "text.embedding."),
    (r"^text_encoder_affine_layer\.", "text.out_proj."),
    (r"^text_encoder\.", "text.encoder."),
    (r"^llm_embedding\.", "lm.special."),
    (r"^llm_decoder\.", "lm.head."),
    (r"^speech_embedding\.", "lm.embedding."),
    (r"^spk_embed_affine_layer\.", "lm.voice_proj."),
    (r"^llm\.", "lm.decoder."),
    (r"\.embed\.out\.", ".in_proj."),
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


def load_cosyvoice(model: TasteModel, state: Mapping[str, Tensor], where: str = "llm.pt") -> None:
    """Load the weights of CosyVoice's text encoder and unit model; aggregator, fusion and quantizer stay as they are.

    Args:
        model: Model with the sizes of the weights, such as that of :func:`~vocable.systems.taste.config.seed_exact`.
        state: Tensors of ``llm.pt``, from :func:`vocable.features.hub.read_tensors`.
        where: Path of the file, for messages.

    Raises:
        CheckpointError: If a tensor is missing, unknown or of another shape.

    Source:
        github.com/FunAudioLLM/CosyVoice (Apache-2.0) ``cosyvoice/llm/llm.py``.
    """
    names = Migration(config=dict, tensors=_TENSORS)
    tensors = {names.rename(name): value for name, value in state.items()}
    own = {name: value for name, value in model.state_dict().items() if name.startswith(("text.", "lm."))}
    if different := sorted(tensors.keys() ^ own.keys()):
        kind = "has no" if different[0] in own else "has an unknown"
        raise CheckpointError(f"{where}: {kind} {different[0]}; give the llm.pt of CosyVoice-300M, and a model like it")
    for name, value in tensors.items():
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"{where}: {name} is of {tuple(value.shape)}, not {tuple(own[name].shape)}; give a model of its sizes"
            )
    model.load_state_dict(tensors, strict=False)
