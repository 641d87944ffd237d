"""How fast the training loop is: against itself without its parts, and against a loop of lightly's pieces.

Timed is `erlangen.train.train`, the loop of every run, on smooth random uint8 images in memory. WARM steps before and
TAIL steps after the timed ones do not count: compilation, workers that start or run out of work. Contenders run in
turn. A figure is the median over repeats of the median over steps, on the CPU two by two: two workers deliver in pairs.

CPU, SimCLR in the paper's form on encoder `small`, 32 px, batches of 256, AdamW, compiled views (crop, flip, jitter,
grey): S is the loop; R the same loop on views made beforehand; L the views per second of lightly's SimCLRTransform with
the same parameters through a DataLoader with 2 workers; Y a plain loop over that loader with lightly's NTXentLoss and
the same networks, optimiser and threads. Where a view costs 1/L seconds and nothing is done at the same time, S/Y is at
most 1 + 2R/L. Two cores are meant: on more, start it with `taskset -c 0,1`. Then the step of every method over
SimCLR's, and what the loop costs where networks cost nothing.

GPU, bfloat16, compiled, channels_last: ResNet-18, ViT-S/16 and ResNet-50, listed as `open` where there is no GPU.
A `target` is met by a `ratio` of at least that, unless `meets` says otherwise. Needs the extra `[bench]`.
"""

import itertools
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch
from lightly.loss import NTXentLoss
from lightly.transforms import SimCLRTransform
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import publish, row, seconds
from benchmarks.transforms import Each, photographs
from erlangen import Pixels, View, build_encoder
from erlangen.data.base import Split
from erlangen.methods import discover
from erlangen.methods.base import AnyMethod, Clock, Learner, Output
from erlangen.methods.simclr import SimCLR
from erlangen.nets import Branch, Encoder
from erlangen.optim import SGD, AdamW, Constant
from erlangen.pipelines import with_pipelines
from erlangen.train import TrainConfig, train
from erlangen.transforms.presets import SimCLRViews
from erlangen.views import Draws, Views, generator

WARM, TAIL = 6, 4  # steps; the tail is what two workers keep ready
OPTIM = AdamW(schedule=Constant())
READY = "the same loop, views ready-made"


@dataclass(frozen=True)
class Case:
    """Networks and sizes of a training; `fast` is bfloat16, compiled, channels_last."""

    encoder: str
    size: int  # pixels
    batch: int  # images
    views: SimCLRViews = SimCLRViews()
    fast: bool = False

    def __str__(self) -> str:
        how = "bf16, compiled, channels_last" if self.fast else f"{torch.get_num_threads()} threads"
        return f"{self.encoder}, {self.size} px, batches of {self.batch}, {how}"

    def new_encoder(self) -> Encoder:
        torch.manual_seed(0)
        return build_encoder(self.encoder, 3, self.size)

    def data(self, steps: int, device: str = "cpu") -> Split:
        """The images of a run of so many timed steps, 512 of them different."""
        n = self.batch * (WARM + steps + TAIL)
        some = torch.from_numpy(photographs(min(n, 512), self.size)).permute(0, 3, 1, 2).contiguous()
        return Split(some.repeat(-(-n // len(some)), 1, 1, 1)[:n].to(device))


CPU, BLURRED = Case("small", 32, 256), SimCLRViews(crop=(0.08, 1.0), blur=0.5)
VIT, RESNET50 = (Case(name, 224, 256, BLURRED, True) for name in ("timm/vit_small_patch16_224", "resnet50"))
GPU = (Case("resnet18", 32, 512, fast=True), VIT, RESNET50)


@dataclass
class Stopwatch:
    """Times `steps` steps, `every` so many together, as an observer of the loop; waits for a GPU at both ends only."""

    steps: int
    every: int = 2
    times: list[float] = field(default_factory=list)

    def __call__(self, *step: object) -> Mapping[str, float]:
        """A step is done."""
        if len(self.times) + 1 in (WARM, WARM + self.steps) and torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())
        return {}

    @property
    def seconds(self) -> float:
        """Of a step, median."""
        ends = self.times[WARM - 1 : WARM + self.steps : self.every]
        return median(end - start for start, end in itertools.pairwise(ends)) / self.every


def in_turn(works: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """The seconds of a step that every contender measures of itself, once in each repeat."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for i in range(repeats):
        for name, work in works.items():
            found[name].append(work())
            print(f"repeat {i + 1} of {repeats}, {name}: {1e3 * found[name][-1]:.3f} ms", file=sys.stderr)
    return found


def ready_made(views: Views, data: Split, batch: int) -> Views:
    """The views of four batches, made now, given again and again."""
    rows = torch.split(torch.arange(4 * batch), batch)
    turn = itertools.cycle([views(data.take(some), Draws(generator("benchmark", i))) for i, some in enumerate(rows)])
    return lambda batch, draws: next(turn)


def loop(case: Case, method: AnyMethod, views: Views, data: Split, steps: int) -> float:
    """Seconds of a step of `erlangen.train.train`."""
    torch.compiler.reset()  # every run compiles for itself; past a limit of recompilations none would be compiled
    how: dict[str, Any] = {"precision": "bf16", "compile": True, "channels_last": True} if case.fast else {}
    watch = Stopwatch(steps, 2 if data.images.is_cpu else steps)
    train(method, case.new_encoder(), views, data, OPTIM, TrainConfig(1, case.batch, **how), [watch])
    return watch.seconds


def loops(case: Case, data: Split, steps: int) -> dict[str, Callable[[], float]]:
    """S and R."""
    views = with_pipelines(case.views.build(3, case.size), compiled=True, channels_last=case.fast)
    both = {"S": views, "R": ready_made(views, data, case.batch)}
    return {name: partial(loop, case, SimCLR(), each, data, steps) for name, each in both.items()}


def lightly_loader(case: Case, data: Split) -> "DataLoader[Any]":
    """Batches of two views by lightly's transform, on two workers; not normalised, since the encoder does that."""
    jitter: dict[str, Any] = {"cj_bright": 0.4, "cj_contrast": 0.4, "cj_sat": 0.4, "cj_hue": 0.1}
    transform = SimCLRTransform(case.size, min_scale=0.2, gaussian_blur=0.0, normalize=None, **jitter)
    each = Each(data.images.permute(0, 2, 3, 1).contiguous().numpy(), transform, pil=True)
    return DataLoader(each, case.batch, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True)


def lightly_views(loader: "DataLoader[Any]", steps: int) -> float:
    """Seconds of a batch of two views, nothing else being done."""
    watch = Stopwatch(steps)
    for _ in loader:
        watch()
    return watch.seconds


def lightly_loop(case: Case, loader: "DataLoader[Any]", steps: int) -> float:
    """Seconds of a step of the loop of lightly's documentation, on our networks."""
    method, watch = SimCLR(), Stopwatch(steps)
    nets = method.build(case.new_encoder()).train()
    criterion, optimizer = NTXentLoss(method.temperature), OPTIM.build(nets)
    for view1, view2 in loader:
        loss = criterion(nets(view1)[1], nets(view2)[1])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        watch()
    return watch.seconds


def simclr_rows(case: Case, steps: int, repeats: int) -> list[dict[str, Any]]:
    """S over R, and S over Y with its target of 0.85 (1 + 2R/L); S, R, Y in images per second, L in views."""
    data = case.data(steps)
    loader = lightly_loader(case, data)
    peers = {"Y": partial(lightly_loop, case, loader, steps), "L": partial(lightly_views, loader, steps)}
    found = in_turn({**loops(case, data, steps), **peers}, repeats)
    every = {name: [case.batch * (1 + (name == "L")) / x for x in values] for name, values in found.items()}
    s, r, y, views = (median(every[name]) for name in "SRYL")
    bound, name, peer = 1 + 2 * r / views, f"SimCLR, {case}", "lightly: transform, DataLoader (2 workers), NTXentLoss"
    more = {"S": round(s, 1), "R": round(r, 1), "Y": round(y, 1), "L": round(views, 1), "bound": round(bound, 3)}
    repeated = {"repeats": {name: [round(x, 1) for x in values] for name, values in every.items()}}
    against = row(name, peer, s, y, "images/s", s / y, round(0.85 * bound, 3)) | more | repeated
    return [row(name, READY, s, r, "images/s", s / r, 0.9), against]


def method_rows(case: Case, steps: int, repeats: int) -> list[dict[str, Any]]:
    """Milliseconds of a step of every method with its default values over SimCLR's, on two ready-made views.

    One whose networks hold a second encoder runs that too, and has no target; one that refuses these views is named
    with what it says. SimCLR itself is measured twice, which shows the noise.
    """
    data = case.data(steps)
    views = ready_made(SimCLRViews(rotation=1.0).build(3, case.size), data, case.batch)
    two = views(data.take(torch.arange(case.batch)), Draws(generator("benchmark")))
    works, encoders = {"peer": partial(loop, case, SimCLR(), views, data, steps)}, dict[str, int]()
    rows: list[dict[str, Any]] = []
    for name, kind in discover().items():
        try:
            learner = Learner(kind(), case.new_encoder())
            learner(two)
        except ValueError as error:
            rows.append({"case": f"step of {name}, {case}", "failed": str(error)})
        else:
            works[name] = partial(loop, case, kind(), views, data, steps)
            encoders[name] = sum(isinstance(module, Encoder) for module in learner.modules())
    times = {name: 1e3 * median(values) for name, values in in_turn(works, repeats).items()}
    for name, count in encoders.items():
        a, b = times[name], times["peer"]
        each = row(f"step of {name}, {case}", "SimCLR", a, b, "ms", a / b, 1.3) | {"meets": "ratio <= target"}
        rows.append({**each, "target": None, "extra_forward": True} if count > 1 else each)
    return rows


class Mean:
    """A weight and a bias for images of one pixel; the loss is the mean of what they make of the first view."""

    def build(self, encoder: Encoder) -> Branch:
        return Branch(encoder, nn.Linear(encoder.dim, 1))

    def loss(self, nets: Branch, views: Sequence[View]) -> Output:
        h, z = nets(views[0].images)
        return Output(z.mean(), [h], [z])

    def couples(self) -> bool:
        return False

    def after_step(self, nets: Branch, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Branch) -> Encoder:
        return nets.encoder


def overhead_row(steps: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of a step of the loop around networks that cost nothing, and of the same step in plain torch.

    Two images of one pixel; forward, backward, SGD. No observers, no folder, no logging before the end. Timed is the
    difference between a run and one a tenth as long: their beginnings and ends cancel.
    """
    optim, short, image = SGD(lr=1e-3, schedule=Constant()), max(1, steps // 10), torch.zeros(2, 1, 1, 1)
    views = [View(image, {}, {}, torch.arange(2))]

    def ours(count: int) -> None:
        data, config = Split(torch.zeros(2 * count, 1, 1, 1, dtype=torch.uint8)), TrainConfig(1, 2, log_every=count)
        train(Mean(), Pixels(1, 1), lambda batch, draws: views, data, optim, config)

    def bare(count: int) -> None:
        nets = Mean().build(Pixels(1, 1))
        optimizer = optim.build(nets)
        for _ in range(count):
            optimizer.zero_grad()
            torch.autograd.backward(nets(image)[1].mean())
            optimizer.step()

    def step(work: Callable[[int], None]) -> float:
        return (seconds(partial(work, short + steps)) - seconds(partial(work, short))) / steps

    found = in_turn({"loop": partial(step, ours), "bare step": partial(step, bare)}, repeats)
    a, b = (1e3 * median(values) for values in found.values())
    each = row(f"empty networks, {steps} steps", "the same step in plain torch", a, b, "ms", a / b, 1.0)
    return {**each, "overhead_ms": round(a - b, 4), "meets": "overhead_ms (ours - theirs) < target"}


def of_peak(case: Case, rate: float, device: str, side: int) -> dict[str, Any]:
    """What an image's two views take, forward and backward, at `rate` images/s, as a share of a bf16 matrix product."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        _, z = SimCLR().build(case.new_encoder())(torch.empty(2, 3, case.size, case.size))
        torch.autograd.backward(z.sum())
    a, watch = torch.randn(side, side, device=device, dtype=torch.bfloat16), Stopwatch(20, 20)
    for _ in range(WARM + 20):
        a @ a
        watch()
    flops, peak = counter.get_total_flops(), 2 * side**3 / watch.seconds
    return {"flops_per_image": flops, "matmul_flops": peak, "share_of_matmul": round(rate * flops / peak, 4)}


def gpu_rows(
    device: str = "cuda", cases: Sequence[Case] = GPU, steps: int = 60, repeats: int = 3, side: int = 8192
) -> list[dict[str, Any]]:
    """S over R, in images per second; the rate is what matters of the second, its share of the peak of the third."""
    name, rows = torch.cuda.get_device_name() if device == "cuda" else "CPU, to show that it runs", []
    for case in cases:
        found = in_turn(loops(case, case.data(steps, device), steps), repeats)
        s, r = (case.batch / median(found[which]) for which in "SR")
        rows.append(row(f"SimCLR, {case}", READY, s, r, "images/s", s / r, 0.95) | {"device": name})
    rows[0] |= {"stretch_images_per_second": 20000}
    rows[1] |= {"target": None, "target_images_per_second": 3000, "published_on_h200_elsewhere": 871}
    rows[2] |= {"target": None, **of_peak(cases[2], rows[2]["ours"], device, side)}
    return rows


def main(case: Case = CPU, steps: int = 20, repeats: int = 5, empty_steps: int = 2000) -> None:
    """The arguments are for a trial at a small size."""
    warnings.filterwarnings("ignore")  # peers' deprecations
    cuda = torch.cuda.is_available()
    rows = [*simclr_rows(case, steps, repeats), *method_rows(case, steps, repeats), overhead_row(empty_steps, repeats)]
    rows += gpu_rows() if cuda else []
    publish("training", rows, ["lightly", "torchvision", "timm"], open=[] if cuda else [str(each) for each in GPU])


if __name__ == "__main__":
    main()
