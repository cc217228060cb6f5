"""Every PEFT method that is understood, one file a family."""

from __future__ import annotations

from scanner.delta.method import Exactness, Method, Variant
from scanner.delta.methods import adalora, blocks, derived, glora, ia3, lora, lycoris, orthogonal, prompts, shared, small, transforms

E, B = Exactness.EXACT, Exactness.WITH_BASE
METHODS: dict[str, Method] = {
    m.id: m
    for m in (
        Method(id="LORA", title="LoRA", exactness=E, read=lora.read),
        Method(id="ADALORA", title="AdaLoRA", exactness=E, read=adalora.read),
        Method(id="LOHA", title="LoHa", exactness=E, read=lycoris.loha, note="linear modules"),
        Method(id="LOKR", title="LoKr", exactness=E, read=lycoris.lokr, note="linear modules"),
        Method(id="IA3", title="IA3", exactness=B, read=ia3.read),
        Method(id="VERA", title="VeRA", exactness=B, read=shared.vera, note="with save_projection, PEFT's default"),
        Method(id="VBLORA", title="VB-LoRA", exactness=E, read=shared.vblora, note="with save_only_topk_weights unset, PEFT's default"),
        Method(id="RANDLORA", title="RandLoRA", exactness=B, read=shared.randlora, note="with save_projection, PEFT's default"),
        Method(id="OFT", title="OFT", exactness=B, read=orthogonal.oft),
        Method(
            id="BOFT",
            title="BOFT",
            exactness=B,
            read=orthogonal.boft,
            note="more than one butterfly factor too; PEFT itself loads those only with its CUDA extension",
        ),
        Method(id="HRA", title="HRA", exactness=B, read=orthogonal.hra),
        Method(id="ROAD", title="RoAD", exactness=B, read=orthogonal.road),
        Method(id="FOURIERFT", title="FourierFT", exactness=B, read=transforms.fourierft),
        Method(id="C3A", title="C3A", exactness=E, read=transforms.c3a),
        Method(id="SHIRA", title="SHiRA", exactness=B, read=transforms.shira),
        Method(id="HIRA", title="HiRA", exactness=B, read=transforms.hira),
        Method(id="MISS", title="MiSS", exactness=B, read=blocks.miss, note="and its variants bat and mini"),
        Method(id="DELORA", title="DeLoRA", exactness=E, read=blocks.delora),
        Method(id="GRALORA", title="GraLoRA", exactness=E, read=blocks.gralora),
        Method(id="LN_TUNING", title="LN tuning", exactness=B, read=small.ln_tuning),
        Method(id="BEFT", title="BEFT", exactness=E, read=small.beft),
        Method(id="PROMPT_TUNING", title="prompt tuning", exactness=E, read=prompts.embeddings, note="virtual tokens; no weight changes"),
        Method(id="P_TUNING", title="P-tuning", exactness=E, read=prompts.embeddings, note="virtual tokens; no weight changes"),
        Method(id="PREFIX_TUNING", title="prefix tuning", exactness=E, read=prompts.prefix, note="virtual tokens; no weight changes"),
        Method(id="CPT", title="CPT", exactness=E, read=prompts.embeddings, note="virtual tokens; no weight changes"),
        Method(id="CARTRIDGE", title="Cartridge", exactness=E, read=prompts.prefix, note="virtual tokens; no weight changes"),
        Method(
            id="MULTITASK_PROMPT_TUNING",
            title="multitask prompt tuning",
            exactness=E,
            read=prompts.multitask,
            note="one task; virtual tokens; no weight changes",
        ),
        Method(id="DEFT", title="DEFT", exactness=B, read=derived.deft, note="and PaRa"),
        Method(id="PEANUT", title="PEANuT", exactness=B, read=derived.peanut, note="activations relu, silu, sigmoid, tanh, linear"),
        Method(id="OSF", title="OSF", exactness=B, read=derived.osf),
        Method(id="FROD", title="FRoD", exactness=B, read=derived.frod, note="with save_projection, PEFT's default"),
        Method(id="TINYLORA", title="TinyLoRA", exactness=E, read=derived.tinylora, note="with save_projection, PEFT's default"),
        Method(id="GLORA", title="GLoRA", exactness=B, read=glora.read),
        Method(id="PVERA", title="PVeRA", exactness=B, read=shared.pvera, note="with save_projection, PEFT's default; not sampled at inference"),
        Method(id="UNILORA", title="Uni-LoRA", exactness=E, read=shared.unilora, note="with save_indices set, which is not PEFT's default"),
        Method(id="WAVEFT", title="WaveFT", exactness=B, read=transforms.waveft, note="wavelet db1, PEFT's default, or none"),
        Method(id="SUPERTUNING", title="Supertuning", exactness=B, read=transforms.supertuning, note="with save_precomputed_indices, PEFT's default"),
        Method(id="TRAINABLE_TOKENS", title="trainable tokens", exactness=B, read=small.trainable_tokens),
    )
}
NOT_MEASURED = {
    "ADAMSS": "which outputs its factors belong to is the result of a random decomposition and a clustering of the base's weights, which is not saved",
    "ADAPTION_PROMPT": "prompts with a gate inside the attention of the last layers, which no change of a weight describes",
    "LILY": "a router mixes its factors by the mean over the whole batch of inputs, so that other requests decide the delta",
    "POLY": "a mixture of factors, weighed by the task it is asked for",
    "PSOFT": "it turns the base's singular vectors, whose signs are not saved: one file makes other models with another linear algebra library",
    "SHADOW": "a second, smaller network runs beside the base",
    "XLORA": "a mixture of other adapters, which its configuration names and a classifier weighs token by token",
}
"""Methods of PEFT that are known by name only, and why no change of the base describes them."""
VARIANTS = (
    Variant(title="rsLoRA", verified="LORA rsLoRA"),
    Variant(title="rank and alpha patterns", verified="LORA patterns"),
    Variant(title="DoRA", verified="LORA DoRA", exactness=B),
    Variant(title="LoRA biases (lora_bias)", verified="LORA lora_bias"),
    Variant(title="biases of the base (bias)", verified="LORA bias all", exactness=B),
    Variant(title="embeddings", verified="LORA embeddings", note="tied output heads too"),
    Variant(title="modules_to_save", verified="LORA modules_to_save", exactness=B),
    Variant(title="trainable_token_indices", verified="LORA trained tokens", exactness=B, note="tied output heads too"),
    Variant(title="target_parameters", verified="LORA experts", note="experts of a mixture, in either orientation, and routers"),
    Variant(
        title="PiSSA, unconverted", verified="LORA PiSSA", exactness=B, note="converted, it is a plain LoRA; `pissa_niter` draws at random and is not measured"
    ),
    Variant(title="OLoRA, unconverted", verified="LORA OLoRA", exactness=B, note="converted, it is a plain LoRA"),
    Variant(title="KaSA", verified="LORA KaSA", exactness=B),
    Variant(title="EVA, MiCA, LoRA-GA, orthogonal", verified="LORA EVA", note="as saved, plain LoRA: PEFT leaves the base alone when it loads them"),
    Variant(
        title="aLoRA (alora_invocation_tokens)",
        verified="LORA aLoRA",
        note="acts from its tokens on; in a prompt that does not hold them they stand where the answer begins, on both sides",
    ),
    Variant(title="Conv1D (fan_in_fan_out)", verified="LORA gpt2"),
    Variant(title="fused projections", verified="LORA phi3"),
)
"""What else a LoRA configuration can ask for and is understood."""
