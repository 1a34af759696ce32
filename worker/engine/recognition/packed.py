"""Paraformer's encoder and decoder on a CPU: FunASR's weights, run over the frames of all segments without padding.

The frames of a batch are concatenated in one matrix [R, D], and `bounds` holds the start of each segment. Affine
layers and normalisations process all rows at once, attention runs segment by segment without a mask, and the memory
blocks (FSMN) stop at the segment boundaries. So the cost of a batch depends only on its speech, not on how lengths
are mixed, and in int8 a segment's result is bit-identical in any batch.

Papers: SAN-M (arXiv 2006.01713), Paraformer (arXiv 2206.08317).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from common.errors import ModelUnavailable
from worker.engine.recognition import kernels
from worker.engine.recognition.linear import Arithmetic

Bounds = NDArray[np.int64]
"""int64 [segments + 1]: the first row of each segment, and the number of rows."""


class Encoder:
    """FunASR's SANMEncoder. Raises ModelUnavailable for a variant that is not implemented here."""

    def __init__(self, encoder: Any, arithmetic: Arithmetic, purpose: str = "recognition") -> None:
        layers = [*encoder.encoders0, *encoder.encoders]
        check_encoder(encoder, layers, purpose)
        self._scale = float(encoder.output_size()) ** 0.5
        self._positions = encoder.embed
        self._layers = [EncoderLayer(layer, arithmetic) for layer in layers]
        self._norm = encoder.after_norm

    def __call__(self, features: Tensor, bounds: Bounds) -> Tensor:
        """Features float32 [R, F] of packed segments → hidden rows [R, D]."""
        lengths = np.diff(bounds)
        numbers = torch.arange(1, int(lengths.max()) + 1)[None]
        positions = self._positions.encode(numbers, features.shape[1], features.dtype)[0]
        rows = features * self._scale + torch.cat([positions[:length] for length in lengths])
        for layer in self._layers:
            rows = layer(rows, bounds)
        hidden: Tensor = self._norm(rows)
        return hidden


class EncoderLayer:
    """A layer of FunASR's SAN-M encoders."""

    def __init__(self, layer: Any, arithmetic: Arithmetic) -> None:
        attention = layer.self_attn
        self._heads = attention.h
        self._residual = layer.in_size == layer.size
        self._norm1, self._norm2 = arithmetic.norm(layer.norm1), arithmetic.norm(layer.norm2)
        self._inputs = arithmetic.linear(attention.linear_q_k_v)
        self._output = arithmetic.linear(attention.linear_out)
        self._memory = _Memory(attention)
        self._widen = arithmetic.linear(layer.feed_forward.w_1)
        self._narrow = arithmetic.linear(layer.feed_forward.w_2)
        self._rows = arithmetic.rows

    def __call__(self, rows: Tensor, bounds: Bounds) -> Tensor:
        """Float32 rows [R, F] of packed segments → [R, D]."""
        inputs = self._inputs(self._norm1(rows))  # [R, 3 D]: queries, keys, values
        size = inputs.shape[1] // 3
        residual = rows if self._residual else torch.zeros(len(rows), size)
        added = self._memory(inputs, 2 * size, bounds, residual)
        queries, keys, values = inputs.chunk(3, dim=1)
        attended = attention(queries, keys, values, self._heads, bounds, bounds)
        rows = self._output(self._rows(attended), add=added)
        wide = self._widen(self._norm2(rows), relu=True)
        return self._narrow(self._rows(wide), add=rows)


class Decoder:
    """FunASR's ParaformerSANMDecoder. Raises ModelUnavailable for another variant."""

    def __init__(self, decoder: Any, arithmetic: Arithmetic) -> None:
        layers = [*decoder.decoders, *(decoder.decoders2 or ())]
        check_decoder(decoder, layers)
        self._layers = [_DecoderLayer(layer, arithmetic) for layer in layers]
        self._last = [_FeedForward(layer, arithmetic) for layer in decoder.decoders3]
        self._norm = arithmetic.norm(decoder.after_norm)
        self._output = arithmetic.linear(decoder.output_layer)
        self._rows = arithmetic.rows

    def states(self, tokens: Tensor, token_bounds: Bounds, memory: Tensor, bounds: Bounds) -> Tensor:
        """Acoustic embeddings float32 [N, D] and encoder rows [R, D], both packed → states [N, D]."""
        known = self._rows(memory)
        for layer in self._layers:
            tokens = layer(tokens, token_bounds, known, bounds)
        for last in self._last:
            tokens = last(tokens)
        return tokens

    def logits(self, states: Tensor) -> Tensor:
        """[N, D] → [N, vocabulary]."""
        return self._output(self._norm(states))


class _FeedForward:
    """The first part of a decoder layer: normalise, widen, normalise, narrow; no residual is added."""

    def __init__(self, layer: Any, arithmetic: Arithmetic) -> None:
        block = layer.feed_forward
        self._norm, self._middle = arithmetic.norm(layer.norm1), arithmetic.norm(block.norm)
        self._widen, self._narrow = arithmetic.linear(block.w_1), arithmetic.linear(block.w_2)

    def __call__(self, rows: Tensor) -> Tensor:
        return self._narrow(self._middle(self._widen(self._norm(rows), relu=True)))


class _DecoderLayer:
    def __init__(self, layer: Any, arithmetic: Arithmetic) -> None:
        self._feed = _FeedForward(layer, arithmetic)
        self._norm2 = layer.norm2
        self._memory = _Memory(layer.self_attn)
        self._attends = layer.src_attn is not None
        self._rows = arithmetic.rows
        if self._attends:
            self._heads = layer.src_attn.h
            self._norm3 = arithmetic.norm(layer.norm3)
            self._query = arithmetic.linear(layer.src_attn.linear_q)
            self._keys_values = arithmetic.linear(layer.src_attn.linear_k_v)
            self._output = arithmetic.linear(layer.src_attn.linear_out)

    def __call__(self, rows: Tensor, token_bounds: Bounds, memory: Any, bounds: Bounds) -> Tensor:
        """`memory` is the result of `arithmetic.rows` on the encoder's rows."""
        rows = self._memory(self._norm2(self._feed(rows)), 0, token_bounds, rows)
        if not self._attends:
            return rows
        queries = self._query(self._norm3(rows))
        keys, values = self._keys_values(memory).chunk(2, dim=1)
        attended = attention(queries, keys, values, self._heads, token_bounds, bounds)
        return self._output(self._rows(attended), add=rows)


class _Memory:
    """An FSMN block over packed segments."""

    def __init__(self, block: Any) -> None:
        self._taps = block.fsmn_block.weight.detach()[:, 0].t().float().contiguous().numpy()  # [K, D]
        self._left = int(block.pad_fn.padding[0])

    def __call__(self, values: Tensor, first: int, bounds: Bounds, residual: Tensor) -> Tensor:
        """The columns of float32 [R, …] from `first` on → residual + values + FIR(values), float32 [R, D]."""
        out = torch.empty(residual.shape)
        arrays = values.numpy(), first, self._taps, self._left, bounds, residual.contiguous().numpy(), out.numpy()
        kernels.remember(*arrays)
        return out


def attention(
    queries: Tensor, keys: Tensor, values: Tensor, heads: int, query_bounds: Bounds, key_bounds: Bounds
) -> Tensor:
    """Softmax attention within each packed segment: queries [N, D], keys and values [R, D] → [N, D]."""
    out = torch.empty(queries.shape)
    places = zip(pairwise(query_bounds.tolist()), pairwise(key_bounds.tolist()), strict=True)
    for (begin, end), (first, last) in places:
        if end > begin:
            attended = functional.scaled_dot_product_attention(
                _by_head(queries[begin:end], heads),
                _by_head(keys[first:last], heads),
                _by_head(values[first:last], heads),
            )
            out[begin:end] = attended[0].transpose(0, 1).flatten(1)
    return out


def _by_head(rows: Tensor, heads: int) -> Tensor:
    """[T, D] → [1, heads, T, D / heads]."""
    return rows.reshape(len(rows), heads, -1).transpose(0, 1)[None]


def check_encoder(encoder: Any, layers: list[Any], purpose: str = "recognition") -> None:
    """Raise ModelUnavailable for an encoder that our layers do not equal."""
    known = type(encoder).__name__ == "SANMEncoder" and type(encoder.embed).__name__ == "SinusoidalPositionEncoder"
    known = known and encoder.normalize_before and not encoder.interctc_layer_idx
    known = known and not any(layer.concat_after for layer in layers)
    known = known and all(type(layer.self_attn).__name__ == "MultiHeadedAttentionSANM" for layer in layers)
    known = known and all(type(layer.feed_forward).__name__ == "PositionwiseFeedForward" for layer in layers)
    if not known:
        raise ModelUnavailable(f"The {purpose} model's encoder is of an unsupported kind.")


def check_decoder(decoder: Any, layers: list[Any]) -> None:
    """Raise ModelUnavailable for a decoder that our layers do not equal."""
    known = type(decoder).__name__ == "ParaformerSANMDecoder" and decoder.normalize_before
    known = known and decoder.output_layer is not None and not any(layer.concat_after for layer in layers)
    if not known:
        raise ModelUnavailable("The recognition model's decoder is of an unsupported kind.")
