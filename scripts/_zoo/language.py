"""Language and speech models of Hugging Face, with small configurations for agreement."""

from __future__ import annotations

from functools import partial

import torch
import transformers as hf
from transformers.cache_utils import DynamicCache

from .recipe import Input, Recipe

VOCABULARY = 120
TOKENS = ("batch", "length")


class Logits(torch.nn.Module):
    """Calls a model by names and returns the tensors that it is asked for."""

    def __init__(self, model: torch.nn.Module, names: list[str], wanted: str, **fixed: object):
        super().__init__()
        self.model, self.names, self.wanted, self.fixed = model, names, wanted, fixed

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        result = self.model(**dict(zip(self.names, values)), **self.fixed)
        return getattr(result, self.wanted)


class WithPast(torch.nn.Module):
    """GPT-2 that takes and returns keys and values, a pair for each layer."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, *past: torch.Tensor):
        cache = DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        position = (torch.cumsum(mask, dim=1) - 1)[:, -ids.shape[1]:]
        result = self.model(
            input_ids=ids, attention_mask=mask, position_ids=position, past_key_values=cache,
            use_cache=True,
        )
        kept = []
        for layer in result.past_key_values.layers:
            kept += [layer.keys, layer.values]
        return (result.logits, *kept)


def tokens(name: str, length: str = "length", below: int = VOCABULARY) -> Input:
    return Input(name, ("batch", length), {0: "batch", 1: length}, below=below)


def encoder(kind: str, names: list[str], **changes: object) -> torch.nn.Module:
    """An encoder of two layers and four heads, or as `changes` say."""
    settings: dict[str, object] = {"vocab_size": VOCABULARY}
    if kind == "DistilBert":
        settings.update(dim=64, hidden_dim=128, n_layers=2, n_heads=4, max_position_embeddings=64)
    else:
        settings.update(
            hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=64,
        )
    settings.update(changes)
    config = getattr(hf, kind + "Config")(**settings)
    return Logits(getattr(hf, kind + "Model")(config), names, "last_hidden_state")


def t5() -> torch.nn.Module:
    config = hf.T5Config(
        vocab_size=VOCABULARY, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4,
        decoder_start_token_id=0, feed_forward_proj="gated-gelu", use_cache=False,
    )
    names = ["input_ids", "attention_mask", "decoder_input_ids"]
    return Logits(hf.T5ForConditionalGeneration(config), names, "logits", use_cache=False)


def whisper() -> torch.nn.Module:
    config = hf.WhisperConfig(
        vocab_size=VOCABULARY, num_mel_bins=16, d_model=64, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=128,
        decoder_ffn_dim=128, max_source_positions=20, max_target_positions=32, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )
    names = ["input_features", "decoder_input_ids", "decoder_attention_mask"]
    return Logits(hf.WhisperForConditionalGeneration(config), names, "logits", use_cache=False)


def gpt2(**settings: int) -> torch.nn.Module:
    config = hf.GPT2Config(
        bos_token_id=1, eos_token_id=1,
        **{"vocab_size": VOCABULARY, "n_positions": 64, "n_embd": 64, "n_layer": 2, "n_head": 4,
           **settings},
    )
    return WithPast(hf.GPT2LMHeadModel(config))


def gpt2_recipe(layers: int, heads: int, width: int, vocabulary: int, build) -> Recipe:
    inputs = [
        Input("input_ids", ("batch", "target"), {0: "batch", 1: "target"}, below=vocabulary),
        Input("attention_mask", ("batch", "target+past"), {0: "batch", 1: "total"}, below=0),
    ]
    outputs = ["logits"]
    axes = {"logits": {0: "batch", 1: "target"}}
    for layer in range(layers):
        for part in ("key", "value"):
            inputs.append(
                Input(f"past.{layer}.{part}", ("batch", heads, "past", width // heads),
                      {0: "batch", 2: "past"}))
            outputs.append(f"present.{layer}.{part}")
            axes[outputs[-1]] = {0: "batch", 2: "total"}
    return Recipe(
        "gpt2", build, inputs, outputs, family=("gpt2", heads, width), output_axes=axes)


def bert_inputs() -> list[Input]:
    return [tokens("input_ids"), tokens("attention_mask", below=0), tokens("token_type_ids", below=2)]


def plain_inputs() -> list[Input]:
    return [tokens("input_ids"), tokens("attention_mask", below=0)]


BERT = [item.name for item in bert_inputs()]
PLAIN = [item.name for item in plain_inputs()]
HIDDEN = {"hidden": {0: "batch", 1: "length"}}
LOGITS = {"logits": {0: "batch", 1: "target"}}

RECIPES = [
    Recipe("bert", partial(encoder, "Bert", BERT), bert_inputs(), ["hidden"],
           family=("bert", 4, 64), output_axes=HIDDEN),
    Recipe("distilbert", partial(encoder, "DistilBert", PLAIN), plain_inputs(), ["hidden"],
           family=("bert", 4, 64), output_axes=HIDDEN),
    Recipe("roberta", partial(encoder, "Roberta", PLAIN), plain_inputs(), ["hidden"],
           family=("bert", 4, 64), output_axes=HIDDEN),
    Recipe("mpnet", partial(encoder, "MPNet", PLAIN), plain_inputs(), ["hidden"],
           family=("bert", 4, 64), output_axes=HIDDEN),
    Recipe("t5", t5, [*plain_inputs(), tokens("decoder_input_ids", "target")], ["logits"],
           output_axes=LOGITS),
    Recipe("whisper", whisper,
           [Input("input_features", ("batch", 16, 40), {0: "batch"}),
            tokens("decoder_input_ids", "target"),
            tokens("decoder_attention_mask", "target", below=0)],
           ["logits"], output_axes=LOGITS),
    gpt2_recipe(2, 4, 64, VOCABULARY, gpt2),
]

WHOLE = [
    Recipe("bert_base",
           partial(encoder, "Bert", BERT, vocab_size=30522, hidden_size=768,
                   intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
                   max_position_embeddings=512),
           bert_inputs(),
           ["hidden"], output_axes=HIDDEN),
    gpt2_recipe(12, 12, 768, 50257,
                partial(gpt2, vocab_size=50257, n_positions=1024, n_embd=768, n_layer=12,
                        n_head=12)),
]
