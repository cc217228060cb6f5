"""Tiny random models of every architecture an adapter's names may come from; the same numbers each time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import transformers

VOCABULARY = 64


def llama(**settings: Any) -> Any:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape, **settings))


def gpt2() -> Any:
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=32, vocab_size=VOCABULARY))


def phi3() -> Any:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY}
    return transformers.Phi3ForCausalLM(transformers.Phi3Config(**shape, pad_token_id=0))


MOE = {"hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY}


def mixtral() -> Any:
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**MOE, num_local_experts=3, num_experts_per_tok=2))


def qwen3_moe() -> Any:
    shape = MOE | {"moe_intermediate_size": 24, "num_experts": 3, "num_experts_per_tok": 2, "head_dim": 8}
    return transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(**shape))


def gpt_oss() -> Any:
    return transformers.GptOssForCausalLM(transformers.GptOssConfig(**MOE, num_local_experts=3, num_experts_per_tok=2, head_dim=8))


def bert() -> Any:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": VOCABULARY}
    return transformers.BertForSequenceClassification(transformers.BertConfig(**shape, num_labels=3))


def roberta() -> Any:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": VOCABULARY}
    return transformers.RobertaForTokenClassification(transformers.RobertaConfig(**shape, num_labels=3, pad_token_id=0))


def t5() -> Any:
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": VOCABULARY}
    return transformers.T5ForConditionalGeneration(transformers.T5Config(**shape, decoder_start_token_id=0))


def t5_classifier() -> Any:
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": VOCABULARY}
    return transformers.T5ForSequenceClassification(transformers.T5Config(**shape, decoder_start_token_id=0, num_labels=3))


MODELS: dict[str, Callable[[], Any]] = {
    "llama": llama,
    "llama-biases": lambda: llama(attention_bias=True),
    "llama-tied": lambda: llama(tie_word_embeddings=True),
    "gpt2": gpt2,
    "phi3": phi3,
    "mixtral": mixtral,
    "qwen3-moe": qwen3_moe,
    "gpt-oss": gpt_oss,
    "bert": bert,
    "roberta": roberta,
    "t5": t5,
    "t5-classifier": t5_classifier,
}


@cache
def _made(name: str) -> Any:
    torch.manual_seed(0)
    return MODELS[name]().eval()


def build(name: str) -> Any:
    """A fresh model, float32, in evaluation mode."""
    return copy.deepcopy(_made(name))


def tokens() -> torch.Tensor:
    """(2, 12) token ids."""
    return (torch.arange(24) * 7 % VOCABULARY).view(2, 12)
