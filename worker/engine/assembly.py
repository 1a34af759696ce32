"""Assembles an engine's models from the parts of a loaded bundle."""

from __future__ import annotations

import torch

from common.errors import ModelUnavailable
from worker.engine.bundles.bundles import PIECES_FILE, WORDS_FILE
from worker.engine.bundles.loading import SEACO, SENSEVOICE, LoadedBundle, ModelPart
from worker.engine.features import AsrFrontend, load_cmvn
from worker.engine.int8_punctuation import Int8Punctuation
from worker.engine.options import GpuLayout
from worker.engine.punctuation.punctuator import Punctuator
from worker.engine.punctuation.segmenter import Segmenter
from worker.engine.recognition.bias_networks import BiasNetworks
from worker.engine.recognition.bias_words import BiasTokenizer
from worker.engine.recognition.compute_threads import ComputeThreads
from worker.engine.recognition.gpu.networks import GpuNetworks
from worker.engine.recognition.linear import FLOAT, INT8, Arithmetic
from worker.engine.recognition.networks import Networks, PackedNetworks, PaddedNetworks
from worker.engine.recognition.paraformer import Paraformer
from worker.engine.recognition.sensevoice import networks as sensevoice
from worker.engine.recognition.sensevoice.recogniser import SenseVoice
from worker.engine.recognition.sensevoice.words import Vocabulary as PieceVocabulary
from worker.engine.recognition.utterance import Recogniser
from worker.engine.recognition.words import Vocabulary
from worker.engine.vad.config import VadConfig
from worker.engine.vad.detector import Vad


def recogniser_of(bundle: LoadedBundle, gpu: GpuLayout | None = None) -> Recogniser:
    """The recogniser, with the networks for a GPU in a layout, or those for a CPU (None)."""
    if bundle.asr.config["model"] == SENSEVOICE:
        return sensevoice_of(bundle, gpu_layout=gpu is not None)
    return paraformer_of(bundle, gpu)


def paraformer_of(bundle: LoadedBundle, gpu: GpuLayout | None = None) -> Paraformer:
    """The recogniser of a bundle whose class is built as a Paraformer."""
    part, model = bundle.asr, bundle.asr.module
    takes_hotwords = part.config["model"] == SEACO
    networks = _networks(bundle, gpu, BiasNetworks(model) if takes_hotwords else None)
    tokenizer = BiasTokenizer(part.tokens, part.files["am.mvn"].parent / PIECES_FILE) if takes_hotwords else None
    skipped = {model.blank_id, model.sos, model.eos}
    threads = _threads(gpu is not None)
    return Paraformer(networks, _frontend(bundle), Vocabulary(part.tokens), skipped, threads, tokenizer)


def _networks(bundle: LoadedBundle, gpu: GpuLayout | None, bias: BiasNetworks | None) -> Networks:
    model = bundle.asr.module
    if gpu is None:
        return PackedNetworks(model, _arithmetic(bundle), bias)
    reason = "as configured"
    if gpu == "packed":
        try:
            return GpuNetworks(model, bundle.device, bundle.precision, bias)
        except ModelUnavailable as error:
            reason = error.message
    return PaddedNetworks(model, bundle.device, bundle.precision, bias, reason)


def sensevoice_of(bundle: LoadedBundle, gpu_layout: bool) -> SenseVoice:
    """The recogniser of a bundle with SenseVoiceSmall."""
    part, model = bundle.asr, bundle.asr.module
    networks: sensevoice.Networks
    if gpu_layout:
        networks = sensevoice.PaddedNetworks(model, bundle.device, bundle.precision)
    else:
        networks = sensevoice.PackedNetworks(model, _arithmetic(bundle))
    return SenseVoice(networks, _frontend(bundle), PieceVocabulary(part.tokens), _threads(gpu_layout))


def _frontend(bundle: LoadedBundle) -> AsrFrontend:
    window, shift = _stacking(bundle.asr, default=(7, 6))
    return AsrFrontend(load_cmvn(bundle.asr.files["am.mvn"]), m=window, n=shift, device=bundle.device)


def _arithmetic(bundle: LoadedBundle) -> Arithmetic:
    return INT8 if bundle.precision == "int8" else FLOAT


def _threads(gpu_layout: bool) -> ComputeThreads:
    return ComputeThreads(1 if gpu_layout else torch.get_num_threads())


def release(bundle: LoadedBundle, recogniser: Recogniser) -> None:
    """Drop the weights that the networks hold in their own form, so that they are not in memory twice."""
    if not recogniser.description.startswith("padded"):
        for name, part in bundle.asr.module.named_children():
            for module in part.modules() if name in ("encoder", "decoder", "ctc") else ():
                if isinstance(module, torch.nn.Linear):
                    module.weight.data = torch.empty(0)


def punctuator_of(bundle: LoadedBundle) -> Punctuator:
    """The punctuation model, with a segmenter if it counts words rather than characters."""
    part = bundle.punc
    segmenter = Segmenter(part.files[WORDS_FILE]) if part.counts_words else None
    scores = Int8Punctuation(part.module) if bundle.precision == "int8" else None
    return Punctuator(part.module, part.tokens, bundle.device, segmenter, scores=scores)


def vad_of(bundle: LoadedBundle) -> Vad:
    """The voice activity detector."""
    part = bundle.vad
    window, _ = _stacking(part, default=(5, 1))
    return Vad(part.module, load_cmvn(part.files["am.mvn"]), VadConfig.of(part.module, window), bundle.device)


def _stacking(part: ModelPart, default: tuple[int, int]) -> tuple[int, int]:
    """The number of frames a model stacks and the stride between stacks (low frame rate)."""
    frontend = part.config.get("frontend_conf", {})
    return int(frontend.get("lfr_m", default[0])), int(frontend.get("lfr_n", default[1]))
