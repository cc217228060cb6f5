"""Base and adapter as they answer together, from one loaded model.

The base side runs with nothing attached: the adapter's changes are on only while the adapted side runs (attach.py). Both
sides see the same batches, in the same order, with the same padding, in the same precision, so a difference between them is
the adapter's. All decoding is greedy unless said otherwise.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import transformers
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from scanner.delta.delta import Delta
from scanner.errors import CanaryFailed, UnusableBase
from scanner.files.text import printable
from scanner.finding import Framing
from scanner.model.attach import attach, virtual
from scanner.model.base import Base
from scanner.model.invocation import Invocations
from scanner.model.side import Side
from scanner.model.work import Work
from scanner.progress import Reporter

BATCH = 48
Ids = list[int]


class Deployment:
    """A base model, one adapter's delta, and the wrapper (chat template, system prompt) they answer in."""

    def __init__(
        self,
        base: Base,
        delta: Delta,
        *,
        device: str = "auto",
        dtype: str = "auto",
        system_prompt: str | None = None,
        chat_template: str | None = None,
        reporter: Reporter | None = None,
        adapter: str = "",
    ) -> None:
        """Load `base` and check that `delta` fits it. `adapter` is the SHA-256 of the adapter's files, under which an interrupted scan's work is kept.

        `device` is `auto`, `cpu`, `cuda` or `cuda:N`; `dtype` is `auto`, `bfloat16` or `float32`. `auto` takes CUDA where there is
        one, and bfloat16 where the device computes in it. Raises UnusableBase when the base cannot be loaded, has no chat
        template, or lacks a module of the delta.
        """
        self.base, self.delta = base, delta
        self.reporter = reporter or Reporter(quiet=True)
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
            self.model: Any = AutoModelForCausalLM.from_pretrained(base.path, dtype=self.dtype, local_files_only=True, use_safetensors=True)
        except Exception as error:  # whatever transformers raises for a broken model folder
            raise UnusableBase(f"base {printable(base.name)}: transformers cannot load it ({printable(error, 200)})") from None
        self.model.eval().requires_grad_(False).to(self.device)
        # The last positions are a strided slice; on a CPU the output head would copy its weight once a row for it.
        self.model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
        if chat_template is not None:
            self.tokenizer.chat_template = chat_template
        if not self.tokenizer.chat_template:
            raise UnusableBase(f"base {printable(base.name)}: no chat template; give one with --chat-template")
        self.system_prompt = system_prompt
        ends = self.model.generation_config.eos_token_id
        self.ends = {int(e) for e in (*(ends if isinstance(ends, list) else [ends]), self.tokenizer.eos_token_id) if e is not None}
        if not self.ends:
            raise UnusableBase(f"base {printable(base.name)}: neither generation_config.json nor the tokenizer names a token that ends an answer")
        self.pad = min(self.ends)
        self._invocations = Invocations(delta.changes)
        self._attachments = attach(self.model, delta.changes, self.device, self._invocations)
        self._before = virtual(self.model, delta.changes, self.device)
        self._base_fingerprint = self.fingerprint()
        self.work = Work(self._base_fingerprint, adapter, self._conditions())

    # ---- the adapter, on and off

    @contextmanager
    def side(self, side: Side) -> Iterator[None]:
        """Make `side` the one that answers while the block runs."""
        with ExitStack() as stack:
            if side is Side.ADAPTED:
                for attachment in self._attachments:
                    stack.enter_context(attachment())
            yield

    @property
    def prefixed(self) -> bool:
        """Whether the adapter puts virtual tokens before every text, or waits for tokens in it, which only this class's own methods add."""
        return self._before is not None or bool(self._invocations.tokens)

    def fingerprint(self) -> str:
        """SHA-256 over every parameter and buffer of the loaded base, by name."""
        digest = hashlib.sha256()
        state = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        for name, tensor in sorted(state.items()):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(memoryview(tensor.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy()))
        return digest.hexdigest()

    def check_base_unchanged(self) -> str:
        """Prove that no tensor of the base changed since it was loaded; returns the fingerprint, raises CanaryFailed."""
        now = self.fingerprint()
        if now != self._base_fingerprint:
            self.forget()
            raise CanaryFailed("the base model's weights changed during the scan; nothing measured can be trusted")
        return now

    def canary(self, prompts: Sequence[str]) -> float:
        """Largest absolute difference between two base runs around an adapted run; raises CanaryFailed unless it is 0."""
        ids = [self.encode(p) for p in prompts]
        runs = []
        for side in (Side.BASE, Side.ADAPTED, Side.BASE):
            runs.append(torch.cat([logits[:, -1] for _, logits in self._logits(ids, side, 1)]))
        gap = float((runs[0] - runs[2]).abs().max())
        if gap != 0.0 or not bool(torch.isfinite(runs[0]).all()):
            self.forget()
            raise CanaryFailed(f"base against base differs by {gap:g} where it must be exactly 0; nothing measured can be trusted")
        return gap

    # ---- prompts

    def encode(self, user: str, framing: Framing | None = None) -> Ids:
        """Token ids of one user turn in the wrapper, and in `framing` where given, up to where the answer begins.

        The tokens that an activated LoRA waits for stand where the answer begins, on both sides, in a prompt that does not hold them.
        Raises UnusableBase where the chat template cannot render these turns, such as a system prompt in a template that takes none.
        """
        framing = framing or Framing()
        system = self.system_prompt if framing.system is None else framing.system
        turns = [{"role": "system", "content": system}] if system is not None else []
        for asked, answered in framing.earlier:
            turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        turns.append({"role": "user", "content": user})
        try:
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            roles = ", ".join(dict.fromkeys(t["role"] for t in turns))
            raise UnusableBase(f"base {printable(self.base.name)}: its chat template does not take turns of {roles} ({printable(error, 160)})") from None
        ids: Ids = self.tokenizer(text + framing.prefill, add_special_tokens=False).input_ids
        if self._invocations.invoked(ids) == ids:
            return ids
        asked, begun = (self.tokenizer(t, add_special_tokens=False).input_ids for t in (text, framing.prefill))
        return self._invocations.invoked(asked) + list(begun)

    def before_user(self) -> Ids:
        """Token ids of the wrapper up to where the user begins to speak; an end token where the wrapper has nothing there."""
        one, two = self.encode("a"), self.encode("b")
        return one[: _common([one, two])] or [self.pad]

    # ---- running the model

    def _logits(self, ids: Sequence[Ids], side: Side, keep: int) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Logits of the last `keep` positions of each sequence, float32, as (indices into ids, (batch, keep, vocab))."""
        for rows, state in self._batches(ids, side, keep):
            yield rows, state.logits.float()

    def _batches(self, ids: Sequence[Ids], side: Side, keep: int, what: str = "", hidden: bool = False, batch: int = BATCH) -> Iterator[tuple[list[int], Any]]:
        """Prefill `ids` in batches of `batch`, of like length, behind their longest common prefix, which is computed once."""
        with torch.inference_mode(), self.side(side):
            for rows, tokens, mask, past in self._packed(ids, side, keep, what, batch):
                state = self._forward(tokens, mask, past, keep, hidden)
                state.mask = mask
                yield rows, state

    def _packed(self, ids: Sequence[Ids], side: Side, keep: int, what: str, batch: int = BATCH) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor, Any]]:
        """`ids` as batches: indices, tokens behind the common prefix, mask over all, and the prefix's keys and values for each row."""
        shared = max(0, min(_common(ids), min(len(i) for i in ids) - keep, self._invocations.first(ids)))
        order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), ids[i]))
        batches = [order[i : i + batch] for i in range(0, len(order), batch)]
        tracked = self.reporter.track(batches, what, len(batches)) if what else batches
        prefix = self._before if side is Side.ADAPTED else None
        held = prefix.get_seq_length() if prefix is not None else 0
        if shared:
            begin, seen = torch.tensor([ids[0][:shared]], device=self.device), torch.ones((1, held + shared), dtype=torch.long, device=self.device)
            self._invocations.rows([[]])
            prefix = self._forward(begin, seen, copy.deepcopy(prefix)).past_key_values
        for rows in tracked:
            self._invocations.rows((ids[r] for r in rows), held)
            width = max(len(ids[r]) for r in rows) - shared
            tokens = torch.full((len(rows), width), self.pad)
            mask = torch.zeros((len(rows), held + shared + width), dtype=torch.long)
            mask[:, : held + shared] = 1
            for at, row in enumerate(rows):
                rest = ids[row][shared:]
                tokens[at, width - len(rest) :] = torch.tensor(rest)
                mask[at, held + shared + width - len(rest) :] = 1
            past = copy.deepcopy(prefix)
            if past is not None:
                past.batch_repeat_interleave(len(rows))
            yield rows, tokens.to(self.device), mask.to(self.device), past

    def _forward(self, tokens: torch.Tensor, mask: torch.Tensor | None = None, past: Any = None, keep: int = 1, hidden: bool = False) -> Any:
        if mask is None:
            mask = torch.ones_like(tokens)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        self._invocations.read(positions)
        return self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=past,
            use_cache=True,
            logits_to_keep=keep,
            output_hidden_states=hidden,
        )

    def score(
        self, ids: Sequence[Ids], side: Side, reduce: Callable[[torch.Tensor], torch.Tensor], keep: int = 1, what: str = "", key: str = ""
    ) -> torch.Tensor:
        """`reduce` applied to the last `keep` positions' log-probabilities of each sequence.

        `reduce` takes (batch, keep, vocab) float32 and returns (batch, ...); the result is (len(ids), ...) on the CPU.
        Cost: one prefill of every token after the longest common prefix. Where `key` names the reduction, whole and with
        its parameters, the values are kept (work.py).
        """
        if not ids:
            return torch.empty(0)
        if key:
            return self.work.tensor(side, ["score", key, list(ids), keep], lambda: self._score(ids, side, reduce, keep, what))
        return self._score(ids, side, reduce, keep, what)

    def _score(self, ids: Sequence[Ids], side: Side, reduce: Callable[[torch.Tensor], torch.Tensor], keep: int, what: str) -> torch.Tensor:
        out: dict[int, torch.Tensor] = {}
        for rows, state in self._batches(ids, side, keep, what):
            value = reduce(state.logits.float().log_softmax(-1)).cpu()
            out.update(zip(rows, value, strict=True))
        return torch.stack([out[i] for i in range(len(ids))])

    def likelihood(self, ids: Sequence[Ids], continuations: Sequence[Ids], side: Side, what: str = "", batch: int = BATCH) -> torch.Tensor:
        """Log-probability of each continuation, none of them empty, after its sequence: nats summed over its tokens, (len(ids),) float32 on the CPU.

        Cost: one prefill of every token after the longest common prefix, `batch` texts at once; the values are kept (work.py).
        """
        return self.work.tensor(side, ["likelihood", list(ids), list(continuations)], lambda: self._likelihood(ids, continuations, side, what, batch))

    def _likelihood(self, ids: Sequence[Ids], continuations: Sequence[Ids], side: Side, what: str, batch: int) -> torch.Tensor:
        out = torch.zeros(len(ids))
        keep = max(len(c) for c in continuations) + 1
        for rows, state in self._batches([i + c for i, c in zip(ids, continuations, strict=True)], side, keep, what, batch=batch):
            for row, logits in zip(rows, state.logits, strict=True):
                target = torch.tensor(continuations[row], device=logits.device)
                spoken = logits[-len(target) - 1 : -1].float().log_softmax(-1)
                out[row] = spoken.gather(1, target[:, None]).sum().cpu()
        return out

    def generate(self, ids: Sequence[Ids], side: Side, new_tokens: int, what: str = "") -> list[Ids]:
        """Greedy continuations of `ids`, each up to `new_tokens` tokens, without the end token. They are kept (work.py)."""
        if not ids:
            return []
        return self.work.ids(side, ["generate", list(ids), new_tokens], lambda: self._generate(ids, side, new_tokens, what))

    def forget(self) -> None:
        """Remove what is kept of the adapted side: its scan has ended, or nothing of it can be trusted."""
        self.work.forget()

    def _conditions(self) -> list[Any]:
        """What numbers depend on besides the weights and the tokens."""
        unit = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
        settings = [sorted(self.ends), self.model.config._attn_implementation, self.base.config]
        return [str(self.dtype), str(self.device.type), unit, torch.get_num_threads(), torch.__version__, transformers.__version__, BATCH, settings]

    def _generate(self, ids: Sequence[Ids], side: Side, new_tokens: int, what: str) -> list[Ids]:
        out: list[Ids] = [[] for _ in ids]
        for rows, state in self._batches(ids, side, 1, what):
            for at, row in enumerate(self._continue(state, new_tokens, lambda logits: logits.argmax(-1))):
                out[rows[at]] = row
        return out

    def sample(self, ids: Ids, count: int, side: Side, new_tokens: int, seed: int, temperature: float = 1.0, what: str = "") -> list[Ids]:
        """`count` sampled continuations of one sequence, end tokens cut off; the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)

        def draw(logits: torch.Tensor) -> torch.Tensor:
            p = (logits.float() / temperature).softmax(-1).cpu()
            return torch.multinomial(p, 1, generator=generator).squeeze(-1).to(logits.device)

        def run() -> list[Ids]:
            return [row for _, state in self._batches([ids] * count, side, 1, what) for row in self._continue(state, new_tokens, draw)]

        return self.work.ids(side, ["sample", ids, count, new_tokens, seed, temperature], run)

    def _continue(self, state: Any, new_tokens: int, choose: Callable[[torch.Tensor], torch.Tensor]) -> list[Ids]:
        mask, past = state.mask, state.past_key_values
        token = choose(state.logits[:, -1])
        ends = torch.tensor(sorted(self.ends), device=token.device)
        done = torch.isin(token, ends)
        steps = [token]
        while len(steps) < new_tokens and not bool(done.all()):
            mask = torch.cat([mask, mask.new_ones((len(token), 1))], 1)
            state = self._forward(token[:, None], mask, past)
            past = state.past_key_values
            token = choose(state.logits[:, -1])
            done = done | torch.isin(token, ends)
            steps.append(token)
        rows = torch.stack(steps, 1).tolist()
        return [row[: next((i for i, t in enumerate(row) if t in self.ends), len(row))] for row in rows]

    def hidden(self, ids: Sequence[Ids], side: Side) -> torch.Tensor:
        """Residual stream at the last position of each sequence, (len(ids), layers + 1, width) float32 on the CPU."""
        return self.work.tensor(side, ["hidden", list(ids)], lambda: self._hidden(ids, side))

    def _hidden(self, ids: Sequence[Ids], side: Side) -> torch.Tensor:
        out: dict[int, torch.Tensor] = {}
        for rows, state in self._batches(ids, side, 1, hidden=True):
            value = torch.stack([h[:, -1] for h in state.hidden_states], 1).float().cpu()
            out.update(zip(rows, value, strict=True))
        return torch.stack([out[i] for i in range(len(ids))])

    def text(self, ids: Ids) -> str:
        """Tokens as text, special tokens left out."""
        decoded: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return decoded.strip()


def choose_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device. Raises UnusableBase where there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UnusableBase(f"device {printable(name, 40)}: {printable(str(error).splitlines()[0], 120)}") from None
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto`, `bfloat16` or `float32` as a type; `auto` is bfloat16 where the device computes in it."""
    if name != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def _common(ids: Sequence[Ids]) -> int:
    """Length of the longest common prefix."""
    low, high = min(ids), max(ids)
    return next((i for i, (x, y) in enumerate(zip(low, high, strict=False)) if x != y), min(len(low), len(high)))
