"""Models and recordings shared by the engine's tests. Everything is real: FunASR's modules, espeak-ng's voices."""

from __future__ import annotations

# isort: off
import worker.engine  # noqa: F401 - before torch, which reads how its threads wait when it is imported
# isort: on

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from training import speech
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory, part_files
from worker.engine.decoding import forking
from worker.engine.decoding.forking import ForkServer
from worker.engine.engine import Engine

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo-zh"

SENTENCES = (
    "请把会议纪要发给我。",
    "今天的天气很好，我们去公园吧。",
    "你什么时候回来？",
    "这个 project 明天 deadline。",
    "我们的 database 要做 backup，请你看一下 dashboard 和 feedback。",
    "他说下个星期要去上海出差。",
    "会议从九点开始，到十一点结束。",
    "好的，谢谢。",
)


@pytest.fixture(scope="session", autouse=True)
def _funasr() -> None:
    """FunASR without the hundreds of models that its plain import brings along; one thread, for busy machines."""
    torch.set_num_threads(1)
    with loading._quiet():
        loading._funasr_tables()


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Every test starts from the same random state, also what draws from a library's own generator."""
    random.seed(0)
    np.random.seed(0)  # for libraries that use it
    torch.manual_seed(0)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    """Another program in the place of the decoder, which does what the bytes of the file say; see `odd_decoder`."""
    server = ForkServer("tests.engine.odd_decoder")
    monkeypatch.setattr(forking, "DECODERS", server)
    with closing(server):
        yield server


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundled model (the original may be in training)."""
    if not all((DEMO / part / "model.pt").is_file() for part in ("asr", "vad", "punc")):
        pytest.fail("models/demo-zh is not there: make demo-model")
    return Path(shutil.copytree(DEMO, tmp_path_factory.mktemp("demo") / "demo-zh"))


@pytest.fixture(scope="session")
def random_bundle(demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same architecture with random weights: it says any token at all, so every rule is used."""
    target = tmp_path_factory.mktemp("random") / "random"
    shutil.copytree(demo_bundle, target)
    tables = loading._funasr_tables()
    torch.manual_seed(5)
    for part in ("asr", "punc"):
        config = yaml.safe_load((target / part / "config.yaml").read_text(encoding="utf-8"))
        tokens = json.loads(part_files(target / part)["tokens.json"].read_text(encoding="utf-8"))
        module = loading._build(tables, config, len(tokens), torch.device("cpu"))
        with torch.no_grad():
            if part == "asr":  # about four and a half tokens per second, unevenly placed
                module.predictor.cif_output.bias.fill_(-1.0)
                module.predictor.cif_output.weight.mul_(3)
                module.predictor.cif_output2.weight.mul_(20)
            else:  # few marks
                module.decoder.weight.mul_(3)
                module.decoder.bias[list(module.punc_list).index("_")] += 2.2
        torch.save(module.state_dict(), target / part / "model.pt")
    return target


@pytest.fixture(scope="session")
def make_engine() -> Iterator[Callable[..., Engine]]:
    """Engines by bundle and options, made once and closed at the end."""
    made: dict[tuple[Any, ...], Engine] = {}

    def make(bundle: Path, **options: Any) -> Engine:
        key = (bundle, *sorted(options.items()))
        if key not in made:
            made[key] = Engine.load(from_directory(bundle), "cpu", threads=1, **options)
        return made[key]

    yield make
    for engine in made.values():
        engine.close()


@pytest.fixture(scope="session")
def recordings() -> list[NDArray[np.int16]]:
    """Four recordings of about 45 s in voices that the demo model never heard; int16 [samples]."""
    made = []
    for seed in range(4):
        chosen = np.random.default_rng(seed).integers(0, len(SENTENCES), 12)
        recording = speech.compose([SENTENCES[i] for i in chosen], speech.HELD_OUT_VOICES, seed)
        made.append(speech.to_pcm(recording.samples))
    return made


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 5 s of speech as a wav file of 16 kHz, mono, 16 bit."""
    path = tmp_path_factory.mktemp("audio") / "spoken.wav"
    sentence = "今天下午三点我们在会议室讨论下个季度的计划。"
    speech.write_wav(path, speech.synthesize(sentence, speech.HELD_OUT_VOICES[0]).samples)
    return path
