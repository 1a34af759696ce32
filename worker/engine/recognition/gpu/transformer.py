"""Paraformer's encoder and decoder over the rows of all segments, with few launches on a GPU.

The same sums as FunASR's SANMEncoder and ParaformerSANMDecoder, arranged for a GPU: the residual stream stays in
float32, adding to it and normalising it is one kernel, so is a memory block, a ReLU belongs to its product, and the
keys and values of all the decoder's attentions are one product.

Papers: SAN-M (arXiv 2006.01713), Paraformer (arXiv 2206.08317).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from worker.engine.recognition.gpu.attention import Attention, attention_over
from worker.engine.recognition.gpu.layers import Affine, Arithmetic, Memory, Norm
from worker.engine.recognition.gpu.layout import Layout
from worker.engine.recognition.packed import check_decoder, check_encoder

Stream = tuple[Tensor, Tensor | None]
"""The residual stream, float32 [R, D], and what the next normalisation still has to add to it."""


class Encoder:
    """FunASR's SANMEncoder. Raises ModelUnavailable for a variant that is not implemented here."""

    def __init__(self, encoder: Any, arithmetic: Arithmetic) -> None:
        layers = [*encoder.encoders0, *encoder.encoders]
        check_encoder(encoder, layers)
        self._dtype = arithmetic.dtype
        self._scale = float(encoder.output_size()) ** 0.5
        self._encode = encoder.embed.encode
        self._positions = torch.empty(0, 0, device=arithmetic.device)
        self._layers = [_EncoderLayer(layer, arithmetic) for layer in layers]
        self._norm = Norm(arithmetic, encoder.after_norm, torch.float32)

    def __call__(self, features: Tensor, layout: Layout) -> Tensor:
        """Features float32 [R, F] of packed segments → hidden rows, float32 [R, D]."""
        positions = self._positions_up_to(layout.longest, features.shape[1])
        stream: Stream = torch.add(positions[layout.numbers], features, alpha=self._scale), None
        attend = attention_over(layout, layout, self._dtype)
        for layer in self._layers:
            stream = layer(stream, layout, attend)
        return self._norm(*stream)[1]

    def _positions_up_to(self, longest: int, size: int) -> Tensor:
        """The table of positions, float32 [at least `longest`, F]; kept from batch to batch."""
        if len(self._positions) < longest:
            numbers = torch.arange(1, 2 * longest + 1, device=self._positions.device)[None]
            self._positions = self._encode(numbers, size, torch.float32)[0]
        return self._positions


class _EncoderLayer:
    def __init__(self, layer: Any, arithmetic: Arithmetic) -> None:
        attention = layer.self_attn
        self._heads = attention.h
        self._residual = layer.in_size == layer.size
        self._norm1, self._norm2 = Norm(arithmetic, layer.norm1), Norm(arithmetic, layer.norm2)
        self._inputs = Affine(arithmetic, attention.linear_q_k_v)
        self._output = Affine(arithmetic, attention.linear_out)
        self._memory = Memory(arithmetic, attention)
        self._widen = Affine(arithmetic, layer.feed_forward.w_1)
        self._narrow = Affine(arithmetic, layer.feed_forward.w_2)

    def __call__(self, stream: Stream, layout: Layout, attend: Attention) -> Stream:
        rows, normal = self._norm1(*stream)
        queries, keys, values = self._inputs(normal).chunk(3, dim=1)
        rows = self._memory(values, layout, rows if self._residual else None)
        rows, normal = self._norm2(rows, self._output(attend(queries, keys, values, self._heads)))
        return rows, self._narrow(self._widen.relu(normal))


class Decoder:
    """FunASR's ParaformerSANMDecoder. Raises ModelUnavailable for another variant."""

    def __init__(self, decoder: Any, arithmetic: Arithmetic) -> None:
        layers = [*decoder.decoders, *(decoder.decoders2 or ())]
        check_decoder(decoder, layers)
        self._dtype = arithmetic.dtype
        self._layers = [_DecoderLayer(layer, arithmetic) for layer in layers]
        self._last = [_FeedForward(layer, arithmetic) for layer in decoder.decoders3]
        known = [layer.src_attn.linear_k_v for layer in layers if layer.src_attn is not None]
        self._keys_values = Affine(arithmetic, *known)
        self._attentions = len(known)
        self._norm = Norm(arithmetic, decoder.after_norm)
        self._output = Affine(arithmetic, decoder.output_layer)

    def states(self, tokens: Tensor, token_layout: Layout, memory: Tensor, layout: Layout) -> Tensor:
        """Acoustic embeddings float32 [N, D] and encoder rows [R, D], both packed → normalised states [N, D]."""
        known = iter(self._keys_values(memory.to(self._dtype)).chunk(self._attentions, dim=1))
        attend = attention_over(token_layout, layout, self._dtype)
        stream: Stream = tokens, None
        for layer in self._layers:
            stream = layer(stream, token_layout, next(known) if layer.attends else None, attend)
        rows, added = stream
        for last in self._last:
            rows, added = last(rows, added)[1], None
        return self._norm(rows, added)[1]

    def logits(self, states: Tensor) -> Tensor:
        """Normalised states [N, D] → float32 [N, vocabulary]."""
        return self._output.exact(states)


class _FeedForward:
    """The first part of a decoder layer: normalise, widen, normalise, narrow; no residual is added."""

    def __init__(self, layer: Any, arithmetic: Arithmetic) -> None:
        block = layer.feed_forward
        self._norm, self._middle = Norm(arithmetic, layer.norm1), Norm(arithmetic, block.norm)
        self._widen, self._narrow = Affine(arithmetic, block.w_1), Affine(arithmetic, block.w_2)

    def __call__(self, rows: Tensor, added: Tensor | None) -> tuple[Tensor, Tensor]:
        """The residual stream with what was to be added, and the result."""
        rows, normal = self._norm(rows, added)
        return rows, self._narrow(self._middle(self._widen.relu(normal))[1])


class _DecoderLayer:
    def __init__(self, layer: Any, arithmetic: Arithmetic) -> None:
        self._feed = _FeedForward(layer, arithmetic)
        self._norm2 = Norm(arithmetic, layer.norm2, torch.float32)
        self._memory = Memory(arithmetic, layer.self_attn)
        self.attends = layer.src_attn is not None
        if self.attends:
            self._heads = layer.src_attn.h
            self._norm3 = Norm(arithmetic, layer.norm3)
            self._query = Affine(arithmetic, layer.src_attn.linear_q)
            self._output = Affine(arithmetic, layer.src_attn.linear_out)

    def __call__(self, stream: Stream, layout: Layout, known: Tensor | None, attend: Attention) -> Stream:
        """`known` [R, 2 D] holds this layer's keys and values of the encoder's rows."""
        rows, fed = self._feed(*stream)
        rows = self._memory(self._norm2(fed)[1], layout, rows)
        if known is None:
            return rows, None
        keys, values = known.chunk(2, dim=1)
        queries = self._query(self._norm3(rows)[1])
        return rows, self._output(attend(queries, keys, values, self._heads))
