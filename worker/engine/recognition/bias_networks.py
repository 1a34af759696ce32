"""SeACo-Paraformer's hotword networks: an encoder of hotwords, and a decoder that says where one was spoken.

The decoder attends from each token to all hotwords of the job, and to "none" as one more. From more than `FILTER`
hotwords it first chooses those that an utterance attends to most. FunASR chooses for a whole batch what suits its
first utterance; here every utterance has its own choice, so that its text does not depend on the others.

Everything is float32 on any device, whatever the precision of the recogniser. Paper: SeACo-Paraformer
(arXiv 2308.03266).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from common.errors import ModelUnavailable
from worker.engine.recognition.bias_words import BiasWords

FILTER = 50
"""The most hotwords that the decoder attends to at once, as in FunASR."""

FILTER_LAYER = 5
"""The layer whose attention chooses them, as in FunASR."""

ENCODED_AT_ONCE = 256
"""Hotwords per pass of the encoder, which bounds its memory."""

MOST_KEPT_BYTES = 256 << 20
"""Memory for encoded lists of hotwords; with 512 units and six layers, one of 1,000 words takes 24 MB."""

MOST_SCORES = 1 << 22
"""Tokens times hotwords of the utterances that are decoded together."""


class Encoded(NamedTuple):
    """A job's hotwords, and "none" after them, for each layer: keys and values, float32 [W + 1, D] each."""

    keys: list[Tensor]
    values: list[Tensor]

    @property
    def size(self) -> int:
        """The number of hotwords with "none"."""
        return len(self.keys[0])

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return sum(each.numel() * each.element_size() for each in (*self.keys, *self.values))


class BiasNetworks:
    """FunASR's `bias_encoder`, `seaco_decoder` and `hotword_output_layer`. Thread-safe.

    Raises ModelUnavailable for a variant that is not implemented here.
    """

    def __init__(self, model: Any) -> None:
        _check(model)
        self._embed = model.decoder.embed
        self._lstm = model.bias_encoder
        self._projection = model.lstm_proj or torch.nn.Identity()
        self._decoder = model.seaco_decoder
        self._attending = list(model.seaco_decoder.decoders)
        self._others = [*(model.seaco_decoder.decoders2 or ()), *model.seaco_decoder.decoders3]
        self._output = model.hotword_output_layer
        self._none = (int(model.sos),)
        self.no_bias = int(model.NO_BIAS)
        """The token that says that no hotword was spoken."""
        self._encoded: OrderedDict[str, Encoded] = OrderedDict()
        self._encoding = threading.Lock()

    def logits(self, words: BiasWords, embeddings: Tensor, hidden: Tensor, counts: Tensor) -> Tensor:
        """Which token of a hotword was spoken at each place, float32 [sum of counts, vocabulary].

        For utterances of jobs with the same hotwords: `embeddings` and `hidden` float32 [B, N, D] are the recogniser's
        acoustic embeddings and the last states of its decoder; what lies beyond `counts` (int64 [B]) does not matter.
        """
        encoded = self._encoded_words(words)
        most = max(1, MOST_SCORES // (embeddings.shape[1] * encoded.size))
        parts = [slice(start, start + most) for start in range(0, len(counts), most)]
        return torch.cat([self._logits(encoded, embeddings[part], hidden[part], counts[part]) for part in parts])

    def _logits(self, encoded: Encoded, embeddings: Tensor, hidden: Tensor, counts: Tensor) -> Tensor:
        """→ [sum of counts, vocabulary]."""
        present = torch.arange(embeddings.shape[1], device=counts.device) < counts[:, None]
        mask = present[..., None].float()
        keys, values = [[each[None] for each in tensors] for tensors in encoded]
        if encoded.size > FILTER:
            chosen = self._chosen(keys, values, hidden, mask)
            keys, values = [each[0][chosen] for each in keys], [each[0][chosen] for each in values]
        attended = self._decoded(keys, values, embeddings, mask) + self._decoded(keys, values, hidden, mask)
        logits: Tensor = self._output(attended[present])
        return logits

    def _chosen(self, keys: list[Tensor], values: list[Tensor], rows: Tensor, mask: Tensor) -> Tensor:
        """Numbers of the hotwords that each utterance attends to most, and of "none": int64 [B, FILTER + 1]."""
        for number, layer in enumerate(self._attending[:FILTER_LAYER]):
            rows = _layer(layer, rows, mask, keys[number], values[number])
        layer = self._attending[FILTER_LAYER]
        queries = _queries(layer, _remembered(layer, rows, mask))
        scores = queries @ _by_head(keys[FILTER_LAYER], layer.src_attn.h).transpose(2, 3)
        attention = (scores / queries.shape[-1] ** 0.5).softmax(dim=-1) * mask[:, None]  # [B, heads, N, W + 1]
        size = scores.shape[-1]
        chosen = attention.sum(dim=(1, 2)).topk(min(FILTER, size - 1), dim=1).indices
        # "None" may be among the chosen and then counts twice, as in FunASR.
        return torch.cat([chosen, chosen.new_full((len(chosen), 1), size - 1)], dim=1)

    def _decoded(self, keys: list[Tensor], values: list[Tensor], rows: Tensor, mask: Tensor) -> Tensor:
        """[B, N, D] → [B, N, D]."""
        for layer, key, value in zip(self._attending, keys, values, strict=True):
            rows = _layer(layer, rows, mask, key, value)
        for layer in self._others:
            rows = _remembered(layer, rows, mask)
        decoded: Tensor = self._decoder.after_norm(rows)
        return decoded

    def _encoded_words(self, words: BiasWords) -> Encoded:
        """Encode a list once, and keep it while there is room."""
        with self._encoding:
            encoded = self._encoded.get(words.digest)
            if encoded is None:
                encoded = self._encoded[words.digest] = self._encode(words)
            self._encoded.move_to_end(words.digest)
            while len(self._encoded) > 1 and sum(each.bytes for each in self._encoded.values()) > MOST_KEPT_BYTES:
                self._encoded.popitem(last=False)
        return encoded

    def _encode(self, words: BiasWords) -> Encoded:
        listed = (*words.ids, self._none)
        parts = [listed[start : start + ENCODED_AT_ONCE] for start in range(0, len(listed), ENCODED_AT_ONCE)]
        rows = torch.cat([self._representations(part) for part in parts])
        pairs = [layer.src_attn.linear_k_v(rows).chunk(2, dim=1) for layer in self._attending]
        return Encoded([key.contiguous() for key, _ in pairs], [value.contiguous() for _, value in pairs])

    def _representations(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """The encoder's state after the last token of each word, [W, D]."""
        device = self._output.weight.device
        padded = pad_sequence([torch.tensor(each) for each in ids], batch_first=True).to(device)
        lengths = torch.tensor([len(each) for each in ids])
        packed = pack_padded_sequence(self._embed(padded), lengths, batch_first=True, enforce_sorted=False)
        states = self._projection(pad_packed_sequence(self._lstm(packed)[0], batch_first=True)[0])
        last: Tensor = states[torch.arange(len(ids), device=device), lengths.to(device) - 1]
        return last


def _layer(layer: Any, rows: Tensor, mask: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """A layer of the decoder: memory block, then attention to the hotwords (keys and values [B or 1, W, D])."""
    rows = _remembered(layer, rows, mask)
    keys, values = (_by_head(each.expand(len(rows), -1, -1), layer.src_attn.h) for each in (keys, values))
    attended = functional.scaled_dot_product_attention(_queries(layer, rows), keys, values)
    output: Tensor = layer.src_attn.linear_out(attended.transpose(1, 2).flatten(2))
    return rows + output


def _remembered(layer: Any, rows: Tensor, mask: Tensor) -> Tensor:
    """A layer without its attention, [B, N, D] → [B, N, D]."""
    fed: Tensor = layer.feed_forward(layer.norm1(rows))
    if layer.self_attn is None:
        return fed
    remembered: Tensor = layer.self_attn(layer.norm2(fed), mask)[0]
    return rows + remembered


def _queries(layer: Any, rows: Tensor) -> Tensor:
    return _by_head(layer.src_attn.linear_q(layer.norm3(rows)), layer.src_attn.h)


def _by_head(rows: Tensor, heads: int) -> Tensor:
    """[B, N, D] → [B, heads, N, D / heads]."""
    return rows.reshape(*rows.shape[:2], heads, -1).transpose(1, 2)


def _check(model: Any) -> None:
    decoder: Any = getattr(model, "seaco_decoder", None)
    problems = []
    if type(decoder).__name__ != "ParaformerSANMDecoder" or not decoder.normalize_before:
        problems.append("seaco_decoder must be a ParaformerSANMDecoder that normalises first")
    elif len(decoder.decoders) <= FILTER_LAYER or any(layer.concat_after for layer in decoder.decoders):
        problems.append(f"seaco_decoder needs more than {FILTER_LAYER} layers with attention, without concat_after")
    if model.bias_encoder_type != "lstm":
        problems.append("bias_encoder_type must be lstm")
    if problems:
        raise ModelUnavailable("The hotword networks of the recognition model are unsupported: " + "; ".join(problems))
