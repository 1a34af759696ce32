"""The packages installed on a GPU machine without a network, and those that must be copied to it.

`python -m bench.gpu` may import nothing else; `tests/engine/test_bench_gpu.py` runs it with all other modules hidden.
"""

from __future__ import annotations

INSTALLED = frozenset(
    {
        *("torch", "functorch", "torchgen", "triton", "numpy", "numba", "llvmlite", "scipy", "yaml", "_yaml"),
        *("rich", "pygments", "markdown_it", "mdurl", "filelock", "typing_extensions", "sympy", "mpmath", "networkx"),
        *("jinja2", "markupsafe", "fsspec"),
    }
)
"""Importable there, beside Python 3.12's own modules: torch, triton, numpy, numba, scipy, rich, PyYAML, and theirs."""

CARRIED: dict[str, tuple[str, ...]] = {
    "audioread": ("audioread",),
    "certifi": ("certifi",),
    "cffi": ("cffi", "_cffi_backend"),
    "charset-normalizer": ("charset_normalizer",),
    "espeakng-loader": ("espeakng_loader",),
    "funasr": ("funasr",),
    "hydra-core": ("hydra",),
    "idna": ("idna",),
    "kaldi-native-fbank": ("kaldi_native_fbank", "_kaldi_native_fbank"),
    "kaldiio": ("kaldiio",),
    "lazy-loader": ("lazy_loader",),
    "librosa": ("librosa",),
    "omegaconf": ("omegaconf",),
    "packaging": ("packaging",),
    "pooch": ("pooch",),
    "pycparser": ("pycparser",),
    "rapidfuzz": ("rapidfuzz",),
    "requests": ("requests",),
    "six": ("six",),
    "soundfile": ("soundfile", "_soundfile", "_soundfile_data"),
    "soxr": ("soxr",),
    "torch-complex": ("torch_complex",),
    "tqdm": ("tqdm",),
    "urllib3": ("urllib3",),
}
"""Packages with wheels → the modules they bring; in the versions of requirements/dev.lock."""

CARRIED_SOURCES: dict[str, tuple[str, ...]] = {"antlr4-python3-runtime": ("antlr4",), "jieba": ("jieba",)}
"""The same, published without wheels; both are pure Python."""

OURS = frozenset({"bench", "common", "dev", "tests", "training", "worker"})


def importable() -> frozenset[str]:
    """Top-level modules that the benchmark may import, in addition to the standard library."""
    carried = (name for modules in (*CARRIED.values(), *CARRIED_SOURCES.values()) for name in modules)
    return INSTALLED | frozenset(carried) | OURS
