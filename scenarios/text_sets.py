"""Well-known text data sets, read as their publishers lay them out, as frozen sentence embeddings.

A scenario names one as a source, ``{ type = "text_sets.py:sst2" }``; each is at hand where its
files are in the data folder (under ``text/``) and the extra ``text`` is installed. Sentences give
vectors (384,), pairs (u, v) give [u, v, |u - v|, u * v], (1536,); with ``shape = [1536]`` under
``[stream]`` the former are filled up with zeros and stand where the u of pairs stands.

About 2,000 training examples of a set are used (50 a class at least) and 1,000 test examples, the
same ones in every run, with classes balanced: a set is embedded in half a minute, once, and
scenarios draw fewer examples anyway.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from cl_moe.errors import InputError, did_you_mean
from cl_moe.seeding import generator
from cl_moe.streams.datasets import draw_per_class
from cl_moe.streams.sources import _embeddings
from cl_moe.streams.sources.base import SourceData, data_folder, encode, split_apart

__all__ = (
    "banking77", "clinc150", "cola", "cr", "dbpedia", "mpqa", "mrpc", "qnli", "rte", "sms_spam",
    "sst2", "stackoverflow", "stsb", "subj", "trec", "wnli",
)  # fmt: skip

MOST_TRAIN, MOST_TEST, LEAST_PER_CLASS = 2000, 1000, 50
TEST_FRACTION = 0.2  # of sets that come without a test set
SIMILAR = 3.0
"""Least similarity of alike sentences, on the scale from 0 to 5: they say roughly the same."""

Example = tuple[tuple[str, ...], str]
"""The text of an example, or the two of a pair; and its label."""
Loader = Callable[..., SourceData]


def at_hand_with(*files: str) -> Callable[[Loader], Loader]:
    """Give a loader ``available(data_dir)``: why its data cannot be had, None if they can."""

    def mark(load: Loader) -> Loader:
        def available(data_dir: Path | None) -> str | None:
            paths = [data_folder(data_dir) / "text" / file for file in files]
            lacking = [str(path) for path in paths if not path.is_file()]
            return f"there is no {' and no '.join(lacking)}" if lacking else _embeddings.missing()

        load.available = available  # type: ignore[attr-defined]
        return load

    return mark


@at_hand_with("glue/SST-2/train.tsv", "glue/SST-2/dev.tsv")
def sst2(data_dir: Path | None = None) -> SourceData:
    """Sentiment of film reviews' phrases (Socher et al. 2013), as in GLUE (Wang et al. 2018)."""
    folder = data_folder(data_dir) / "text/glue/SST-2"
    return _glue(folder, texts=(0,), label=1)


@at_hand_with("glue/CoLA/train.tsv", "glue/CoLA/dev.tsv")
def cola(data_dir: Path | None = None) -> SourceData:
    """Whether a sentence is grammatical (Warstadt et al. 2019)."""
    return _glue(data_folder(data_dir) / "text/glue/CoLA", texts=(3,), label=1, header=False)


@at_hand_with("glue/MRPC/train.tsv", "glue/MRPC/dev.tsv")
def mrpc(data_dir: Path | None = None) -> SourceData:
    """Whether two sentences say the same (Dolan & Brockett 2005): pairs."""
    return _glue(data_folder(data_dir) / "text/glue/MRPC", texts=(3, 4), label=0)


@at_hand_with("glue/RTE/train.tsv", "glue/RTE/dev.tsv")
def rte(data_dir: Path | None = None) -> SourceData:
    """Whether a text entails a sentence (Dagan et al. 2005 and after): pairs."""
    return _glue(data_folder(data_dir) / "text/glue/RTE", texts=(1, 2), label=3)


@at_hand_with("glue/WNLI/train.tsv", "glue/WNLI/dev.tsv")
def wnli(data_dir: Path | None = None) -> SourceData:
    """Whether a sentence follows, where a pronoun decides (Levesque et al. 2012): pairs."""
    return _glue(data_folder(data_dir) / "text/glue/WNLI", texts=(1, 2), label=3)


@at_hand_with("glue/QNLI/dev.tsv")
def qnli(data_dir: Path | None = None) -> SourceData:
    """Whether a sentence answers a question (Rajpurkar et al. 2016): pairs, of dev.tsv alone."""
    return _embedded(_tsv(data_folder(data_dir) / "text/glue/QNLI/dev.tsv", (1, 2), label=3))


@at_hand_with("glue/STS-B/train.tsv", "glue/STS-B/dev.tsv")
def stsb(genre: Literal["captions", "forum", "news"], data_dir: Path | None = None) -> SourceData:
    """Whether two sentences of a genre are alike (Cer et al. 2017), by :data:`SIMILAR`: pairs."""
    folder = data_folder(data_dir) / "text/glue/STS-B"
    train, test = (
        [
            ((u, v), "alike" if float(similarity) >= SIMILAR else "unlike")
            for (where, u, v), similarity in _tsv(folder / f"{split}.tsv", (1, 7, 8), label=9)
            if where.startswith(f"main-{genre}")  # forum in the one file is forums in the other
        ]
        for split in ("train", "dev")
    )
    return _embedded(train, test)


@at_hand_with("sentconv/TREC.train.all", "sentconv/TREC.test.all")
def trec(data_dir: Path | None = None) -> SourceData:
    """What kind of thing a question asks for, 6 classes (Li & Roth 2002)."""
    folder = data_folder(data_dir) / "text/sentconv"
    return _embedded(_marked(folder / "TREC.train.all"), _marked(folder / "TREC.test.all"))


@at_hand_with("sentconv/subj.all")
def subj(data_dir: Path | None = None) -> SourceData:
    """Subjective against objective sentences (Pang & Lee 2004)."""
    return _embedded(_marked(data_folder(data_dir) / "text/sentconv/subj.all"))


@at_hand_with("sentconv/custrev.all")
def cr(data_dir: Path | None = None) -> SourceData:
    """Sentiment of customers' reviews of products (Hu & Liu 2004)."""
    return _embedded(_marked(data_folder(data_dir) / "text/sentconv/custrev.all"))


@at_hand_with("sentconv/mpqa.all")
def mpqa(data_dir: Path | None = None) -> SourceData:
    """Polarity of opinions in news, mostly phrases of a few words (Wiebe et al. 2005)."""
    return _embedded(_marked(data_folder(data_dir) / "text/sentconv/mpqa.all"))


@at_hand_with("clinc150/data_full.json", "clinc150/domains.json")
def clinc150(domain: str, data_dir: Path | None = None) -> SourceData:
    """Intents of what people say to an assistant, the 15 of one domain (Larson et al. 2019)."""
    folder = data_folder(data_dir) / "text/clinc150"
    domains = json.loads((folder / "domains.json").read_text(encoding="utf-8"))
    if domain not in domains:
        raise InputError(f"domain: no '{domain}'; {did_you_mean(domain, domains)}")
    content = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))
    train, test = (
        [((text,), intent) for text, intent in content[split] if intent in domains[domain]]
        for split in ("train", "test")
    )
    return _embedded(train, test)


@at_hand_with("banking77/train.csv", "banking77/test.csv")
def banking77(data_dir: Path | None = None) -> SourceData:
    """What a bank's customer wants, 77 intents (Casanueva et al. 2020)."""
    folder = data_folder(data_dir) / "text/banking77"
    train, test = (
        [((row[0],), row[1]) for row in _csv(folder / f"{split}.csv")[1:]]
        for split in ("train", "test")
    )
    return _embedded(train, test)


@at_hand_with("stackoverflow20/title_StackOverflow.txt", "stackoverflow20/label_StackOverflow.txt")
def stackoverflow(data_dir: Path | None = None) -> SourceData:
    """Which of 20 tags the title of a question has (Xu et al. 2015)."""
    folder = data_folder(data_dir) / "text/stackoverflow20"
    titles = _lines(folder / "title_StackOverflow.txt")
    labels = _lines(folder / "label_StackOverflow.txt")
    return _embedded([((t,), label) for t, label in zip(titles, labels, strict=True)])


@at_hand_with("dbpedia14_14k/train.csv", "dbpedia14_14k/classes.txt")
def dbpedia(data_dir: Path | None = None) -> SourceData:
    """What kind of thing an encyclopaedia's article is about, 14 classes (Zhang et al. 2015)."""
    folder = data_folder(data_dir) / "text/dbpedia14_14k"
    names = _lines(folder / "classes.txt")
    # Label and text with one comma between; further commas and quotes belong to the text.
    rows = [line.partition(",") for line in _lines(folder / "train.csv")]
    return _embedded([((text,), names[int(label)]) for label, _, text in rows])


@at_hand_with("sms_spam/SMSSpamCollection")
def sms_spam(data_dir: Path | None = None) -> SourceData:
    """Short messages, spam or not (Almeida et al. 2011)."""
    path = data_folder(data_dir) / "text/sms_spam/SMSSpamCollection"
    rows = [line.partition("\t") for line in _lines(path)]
    return _embedded([((text,), label) for label, _, text in rows])


def _glue(folder: Path, *, texts: Sequence[int], label: int, header: bool = True) -> SourceData:
    """Read train.tsv and dev.tsv (GLUE's test labels are secret): columns of texts, and a label."""
    train, test = (
        _tsv(folder / f"{split}.tsv", texts, label, header) for split in ("train", "dev")
    )
    return _embedded(train, test)


def _tsv(path: Path, texts: Sequence[int], label: int, header: bool = True) -> list[Example]:
    return [
        (tuple(cells[k] for k in texts), cells[label])
        for line in _lines(path)[header:]
        if len(cells := line.split("\t")) > max(*texts, label)
    ]


def _marked(path: Path) -> list[Example]:
    """Read lines of a label, a space and a text, in latin-1."""
    rows = [line.partition(" ") for line in _lines(path, "latin-1")]
    return [((text,), label) for label, _, text in rows if text.strip()]


def _lines(path: Path, encoding: str = "utf-8-sig") -> list[str]:
    # Not splitlines(): some texts hold characters that it takes for the end of a line.
    lines = path.read_text(encoding=encoding).split("\n")
    return [line.strip("\r") for line in lines if line.strip()]


def _csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.reader(file) if row]


def _embedded(train: list[Example], test: list[Example] | None = None) -> SourceData:
    """Return embeddings and labels; a fifth of each class is the test set where there is none."""
    y, classes = encode([label for _, label in train])
    if test is None:
        first, rest = split_apart(y, TEST_FRACTION)
        train, test = [train[i] for i in first.tolist()], [train[i] for i in rest.tolist()]
        y, test_y = y[first], y[rest]
    else:
        test = [example for example in test if example[1] in classes]
        test_y = torch.tensor([classes.index(label) for _, label in test])
    train_x, y = _some(train, y, max(LEAST_PER_CLASS, MOST_TRAIN // len(classes)))
    test_x, test_y = _some(test, test_y, MOST_TEST // len(classes))
    return SourceData(train_x, y, test_x, test_y, classes)


def _some(examples: list[Example], y: Tensor, per_class: int) -> tuple[Tensor, Tensor]:
    """Return embeddings and labels of at most so many examples of each class."""
    rows = draw_per_class(y, per_class, generator(0, "text_sets")).sort().values
    texts = [examples[i][0] for i in rows.tolist()]
    parts = [_embeddings.embed([row[k].strip() for row in texts]) for k in range(len(texts[0]))]
    if len(parts) == 1:
        return parts[0], y[rows]
    u, v = parts
    return torch.cat([u, v, (u - v).abs(), u * v], dim=1), y[rows]
