"""Do plain networks get worse with depth, and residual ones not? (He et al. 2016, sections 1 and 4.2, figure 6)

The networks are the paper's for CIFAR-10 with half its widths: 6n + 2 layers, three stages, shortcuts that pad with
zeros (option A), so that a residual network has exactly the parameters of the plain one. The task is to name the main
vehicle of a street scene of 32 px. *Ours, smaller:* the first convolution halves the side, there are 8,000 pictures
and 1,000 steps, and the rate is divided by ten once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Experiment, Figures, Settings, interval
from helpers.worlds.streets import load_street
from helpers.worlds.street.sample import CLASSES

DEPTHS = (8, 20, 32, 56)
WIDTHS = (8, 16, 32)
BATCH, SIDE, TEST = 64, 32, 2_000


class Block(nn.Module):
    """Two 3×3 convolutions with batch normalisation, with or without the shortcut around them (the paper, figure 2).

    float [B, in, H, W] -> [B, out, H/s, W/s].
    """

    def __init__(self, inputs: int, outputs: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.more, self.residual = stride, outputs - inputs, residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.residual:
            y = y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))  # new channels: zero
        return F.relu(y)


def network(depth: int, residual: bool) -> nn.Sequential:
    """The paper's network of `depth` = 6n + 2 layers: float [B, 3, 32, 32] -> float logits [B, 7].

    Starts from torch's global generator. Raises ValueError for another depth.
    """
    n, rest = divmod(depth - 2, 6)
    if n < 1 or rest:
        raise ValueError(f"depth {depth} is not 6n + 2: choose 8, 14, 20, …")
    layers = [nn.Conv2d(3, WIDTHS[0], 3, 2, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU()]
    for stage, width in enumerate(WIDTHS):
        for block in range(n):
            first = stage > 0 and block == 0
            layers.append(Block(WIDTHS[stage - first], width, 2 if first else 1, residual))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], len(CLASSES["vehicle"]))]
    model = nn.Sequential(*layers)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # the paper, 3.4
    return model


def pictures(split: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `n` scenes of `split`: float [n, 3, 32, 32], and the vehicle's class, int64 [n]."""
    street = load_street(split, n, size=SIDE, progress=False, captions=0)
    images = ((street.images.float() - 128) / 64).contiguous(memory_format=torch.channels_last)
    return images, street.labels["vehicle"]


def run(settings: Settings, seed: int) -> Figures:
    """Train one network; its training loss, test error and the norms of its layers' gradients."""
    images, labels = pictures("train", settings["scenes"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(settings["depth"], settings["residual"]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), settings["rate"], momentum=0.9, weight_decay=1e-4)
    steps = settings["steps"]
    generator = torch.Generator().manual_seed(seed)
    losses, norms, convolutions = [], {}, [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = settings["rate"] * (0.1 if step >= 0.75 * steps else 1)
        rows = torch.randint(len(labels), (BATCH,), generator=generator)
        loss = F.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if step in (0, steps // 2, steps - 1):
            norms[str(step)] = [float(f"{m.weight.grad.norm().item():.3g}") for m in convolutions]
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    test_images, test_labels = pictures("test", settings["test"])
    with torch.inference_mode():
        test = torch.cat([model(part).argmax(1) for part in test_images.split(500)])
        # The training loss again, by the finished network and over all pictures: batches are noisy.
        train = torch.cat([model(part) for part in images.split(500)])
    part = max(1, steps // 50)
    return {
        "loss": round(F.cross_entropy(train, labels).item(), 4),
        "train error": round((train.argmax(1) != labels).float().mean().item(), 4),
        "test error": round((test != test_labels).float().mean().item(), 4),
        "parameters": sum(p.numel() for p in model.parameters()),
        "curve": [round(sum(losses[i : i + part]) / part, 3) for i in range(0, steps, part)],
        "gradient norms": norms,
    }


def prepare(settings: list[Settings]) -> None:
    """Draw the pictures once, before several processes ask for them."""
    for split, key in (("train", "scenes"), ("test", "test")):
        for n in {own[key] for own in settings}:
            pictures(split, n)


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """The verdict by the rule."""

    def rise(kind: str) -> dict:
        deep, shallow = (figures[f"{kind}-{depth}"] for depth in (56, 20))
        return interval([d["loss"] - s["loss"] for d, s in zip(deep, shallow, strict=True)])

    plain, residual = rise("plain"), rise("residual")
    worse, no_worse = plain["interval"][0] > 0, not residual["interval"][0] > 0
    if worse and no_worse:
        verdict = "confirmed"
    else:
        verdict = "refuted" if plain["interval"][1] <= 0 or residual["interval"][0] > 0 else "undecided"
    return {"verdict": verdict, "rise of the loss, plain": plain, "rise of the loss, residual": residual}


EXPERIMENT = Experiment(
    name="depth",
    hypothesis="After equally many steps a plain network of 56 layers has a higher training loss than one of 20, "
    "and a residual network of 56 layers has none.",
    arms={
        f"{kind}-{depth}": {
            "residual": kind == "residual",
            "depth": depth,
            "scenes": 8_000,
            "steps": 1_000,
            "test": TEST,
        }
        for depth in DEPTHS
        for kind in ("plain", "residual")
    },
    seeds=(0, 1, 2, 3, 4),
    metric="Cross-entropy over all training pictures after the last step, evaluation mode; the rise is that of 56 "
    "layers less that of 20, seed by seed. The test error is told beside it.",
    rule="With 95 % intervals (Student's t) over the seeds: confirmed if the plain rise lies wholly above 0 and the "
    "residual rise does not; refuted if the plain rise lies wholly at or below 0, or the residual rise wholly above "
    "0; otherwise undecided. Each arm takes the learning rate with the lowest loss in one run with another seed.",
    run=run,
    judge=judge,
    quick={"scenes": 512, "steps": 4, "test": 200},
    # Moved down once, from (0.03, 0.1, 0.3), after the tuning runs and before the first judged run: 0.3 was best for no
    # arm, and for five of the eight the best was the lowest, 0.03.
    grid={"rate": (0.01, 0.03, 0.1)},
    tuned_by="loss",
    prepare=prepare,
)
