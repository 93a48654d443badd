"""Functions of one's own as sources, and the text sets beside the scenarios, which are such."""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from cl_moe import catalog
from cl_moe.errors import InputError
from cl_moe.streams.scenario import ScenarioSpec, SourceSpec
from cl_moe.streams.sources import _embeddings
from cl_moe.streams.sources._loading import make_source
from cl_moe.streams.sources.base import SourceData

MINE = """
import numpy as np

def blobs(size: int = 4, seed: int = 0):
    y = np.arange(size) % 2
    return y[:, None] + np.zeros((size, 3)), y, y[:, None] + np.zeros((size, 3)), y

def nowhere(data_dir=None):
    raise AssertionError("asked although it is not at hand")

nowhere.available = lambda data_dir: f"nothing in {data_dir}"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def test_a_function_in_a_file_of_the_current_folder(here: Path) -> None:
    source = make_source(SourceSpec(type="mine.py:blobs", parameters={"size": 6}), "sources.m")
    data = source.load(seed=0, data_dir=None)
    assert data.train_y.tolist() == [0, 1] * 3
    assert data.train_x.dtype == torch.float32


def test_a_file_that_is_not_there(here: Path) -> None:
    with pytest.raises(InputError, match=r"sources\.m\.type: 'yours\.py:blobs' cannot be loaded"):
        make_source(SourceSpec(type="yours.py:blobs"), "sources.m")


def test_a_slot_passes_over_a_function_without_data(here: Path) -> None:
    spec = ScenarioSpec.from_dict(
        {
            "name": "s",
            "methods": [],
            "sources": {"a": {"any_of": [{"type": "mine.py:nowhere"}, {"type": "mine.py:blobs"}]}},
            "tasks": [{"name": "t", "source": "a"}],
        }
    )
    assert spec.resolve(here).sources["a"].type == "mine.py:blobs"
    only = {**spec.to_dict(), "sources": {"a": {"type": "mine.py:nowhere"}}}
    with pytest.raises(InputError, match=r"sources\.a: nothing in"):
        ScenarioSpec.from_dict(only).resolve(here)


def test_the_module_of_a_file_is_run_once(here: Path) -> None:
    assert catalog.resolve("source", "mine.py:blobs") is catalog.resolve("source", "mine.py:blobs")


# The text sets, on files like their publishers', with embeddings that only tell texts apart.

FILES = {
    "glue/SST-2/train.tsv": "sentence\tlabel\n" + "good \t1\nbad \t0\n" * 3,
    "glue/SST-2/dev.tsv": "sentence\tlabel\nfine\t1\npoor\t0\n",
    "glue/CoLA/train.tsv": "a\t1\t\tIt is.\na\t0\t*\tIs it is.\n",
    "glue/CoLA/dev.tsv": "a\t1\t\tI am.\n",
    "glue/MRPC/train.tsv": "\ufeffQuality\tID\tID\ta\tb\n1\t1\t2\tu\tv\n0\t3\t4\tu\tw\n",
    "glue/MRPC/dev.tsv": "Quality\tID\tID\ta\tb\n1\t1\t2\tx\ty\n",
    "glue/RTE/train.tsv": "i\ts\tt\tl\n0\tu\tv\tentailment\n1\tu\tw\tnot_entailment\n",
    "glue/RTE/dev.tsv": "i\ts\tt\tl\n0\tx\ty\tentailment\n",
    "glue/WNLI/train.tsv": "i\ts\tt\tl\n0\tu\tv\t1\n1\tu\tw\t0\n",
    "glue/WNLI/dev.tsv": "i\ts\tt\tl\n0\tx\ty\t1\n",
    "glue/QNLI/dev.tsv": "i\tq\ts\tl\n" + "0\tu\tv\tentailment\n1\tu\tw\tnot_entailment\n" * 5,
    "glue/STS-B/train.tsv": "i\tgenre\tf\ty\to\ta\tb\ts\tt\tscore\n"
    + "0\tmain-news\tf\ty\to\ta\tb\tu\tv\t3.000\n1\tmain-news\tf\ty\to\ta\tb\tu\tw\t2.9\n"
    + "2\tmain-forum\tf\ty\to\ta\tb\tlonger\tv\t5.0\n",
    "glue/STS-B/dev.tsv": "i\tgenre\tf\ty\to\ta\tb\ts\tt\tscore\n"
    + "0\tmain-news\tf\ty\to\ta\tb\tx\ty\t0.5\n1\tmain-forums\tf\ty\to\ta\tb\tx\ty\t4\n",
    "sentconv/TREC.train.all": "0 How ?\n1 What\x85 ?\n",
    "sentconv/TREC.test.all": "1 Who ?\n",
    "sentconv/subj.all": "0 a b\n1 c d\n" * 5,
    "sentconv/custrev.all": "0 a b\n1 c d\n" * 5,
    "sentconv/mpqa.all": "0 a\n1 c\n0 \n" * 5,
    "clinc150/data_full.json": json.dumps(
        {s: [["pay", "bill"], ["sum", "balance"], ["cook", "recipe"]] for s in ("train", "test")}
    ),
    "clinc150/domains.json": json.dumps({"banking": ["bill", "balance"], "kitchen": ["recipe"]}),
    "banking77/train.csv": 'text,category\n"where, then",card\nhow,pin\n',
    "banking77/test.csv": "text,category\nwhen,pin\n",
    "stackoverflow20/title_StackOverflow.txt": "a\nb\n" * 5,
    "stackoverflow20/label_StackOverflow.txt": "1\n2\n" * 5,
    "dbpedia14_14k/train.csv": '0,a "b", c\n1,d\n' * 5,
    "dbpedia14_14k/classes.txt": "Company\nArtist\n",
    "sms_spam/SMSSpamCollection": "ham\thi\nspam\twin\n" * 5,
}  # fmt: skip
SETS = sorted(sys.modules[catalog.resolve("source", "text_sets.py:sst2").__module__].__all__)
PAIRS = {"mrpc", "qnli", "rte", "stsb", "wnli"}
PARTS: dict[str, dict[str, str]] = {"clinc150": {"domain": "banking"}, "stsb": {"genre": "news"}}


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a few lines of every set."""
    for name, content in FILES.items():
        path = tmp_path / "text" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("latin-1" if name.startswith("sentconv") else "utf-8"))

    def embed(found: list[str]) -> torch.Tensor:
        return torch.tensor([[float(len(t)), zlib.crc32(t.encode()) % 2**24] for t in found])

    monkeypatch.setattr(_embeddings, "embed", embed)
    monkeypatch.setattr(_embeddings, "missing", lambda: None)
    return tmp_path


def load(name: str, folder: Path) -> SourceData:
    spec = SourceSpec(type=f"text_sets.py:{name}", parameters=PARTS.get(name, {}))
    source = make_source(spec, "sources.t")
    assert source.available(folder) is None
    return source.load(seed=0, data_dir=folder)


@pytest.mark.parametrize("name", SETS)
def test_a_text_set_is_read(name: str, texts: Path) -> None:
    data = load(name, texts)
    assert data.problems(name) == []
    assert len(data.classes) == 2
    assert data.train_x.shape[1] == (8 if name in PAIRS else 2)


def test_alike_sentences_are_those_of_a_genre_from_a_similarity_on(texts: Path) -> None:
    data = load("stsb", texts)
    assert data.classes == ("alike", "unlike")
    assert data.train_y.tolist() == [0, 1]
    assert data.test_y.tolist() == [1]
    assert data.train_x[:, 0].tolist() == [1, 1]  # one letter: the genre asked for, no other


def test_what_separates_columns_may_stand_in_the_last_one(texts: Path) -> None:
    assert load("dbpedia", texts).classes == ("Artist", "Company")
    assert sorted(load("dbpedia", texts).train_x[:, 0].unique().tolist()) == [1, len('a "b", c')]
    assert sorted(load("banking77", texts).train_x[:, 0].tolist()) == [3, len("where, then")]


def test_a_pair_is_both_and_their_difference_and_product(texts: Path) -> None:
    u, v, difference, product = load("mrpc", texts).train_x.view(2, 4, 2).unbind(1)
    assert torch.equal(difference, (u - v).abs())
    assert torch.equal(product, u * v)


def test_large_sets_are_cut_the_same_way_each_time_with_classes_balanced(texts: Path) -> None:
    lines = [f"{'1' if k % 4 else '0'} text {k}" for k in range(12000)]
    (texts / "text/sentconv/subj.all").write_text("\n".join(lines))
    first, second = load("subj", texts), load("subj", texts)
    assert first.train_y.bincount().tolist() == [1000, 1000]
    assert first.test_y.bincount().tolist() == [500, 500]
    assert torch.equal(first.train_x, second.train_x)
    assert not set(map(tuple, first.train_x.tolist())) & set(map(tuple, first.test_x.tolist()))


def test_an_absent_set_is_not_at_hand(tmp_path: Path) -> None:
    source = make_source(SourceSpec(type="text_sets.py:trec"), "sources.t")
    reason = source.available(tmp_path)
    assert reason is not None
    assert "TREC.train.all" in reason


@pytest.mark.data
def test_real_texts_are_embedded(data_dir: Path, tmp_path: Path, monkeypatch) -> None:
    if _embeddings.missing():
        pytest.skip(f"{_embeddings.missing()}")
    monkeypatch.setattr(_embeddings, "cache_folder", lambda: tmp_path)
    found = _embeddings.embed(["a cat sat", "the cat was sitting", "stock markets fell"]).numpy()
    near, far = found[0] @ found[1], found[0] @ found[2]
    assert found.shape == (3, 384)
    assert near > far + 0.3
    assert len(list((tmp_path / "embeddings").glob("*.npy"))) == 1
    assert np.array_equal(_embeddings.embed(["a cat sat"]).numpy().shape, (1, 384))
    source = make_source(SourceSpec(type="text_sets.py:rte"), "sources.t")
    assert source.available(data_dir) is None
