"""SimCLR's view policy, from uint8 images in memory to normalised float32 batches, against the usual libraries.

Crop (0.2, 1), flip, jitter .4/.4/.4/.1 at .8, grey .2, and at 224 px a blur of 23 taps at .5. Batches of 256 views, of
32 at 224 px. Peers: torchvision v2 on tensors and on PIL images, each through a DataLoader with 2 workers (the faster
counts), kornia's AugmentationSequential eager and compiled, lightly's SimCLRTransform with 2 workers. Needs the extra
`[bench]`; a peer that is not installed or fails is named with its error, not left out.
"""

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks import publish, seconds
from erlangen.chunks import compiler_exists
from erlangen.pipelines import Pipeline
from erlangen.transforms import ColorJitter, GaussianBlur, Grayscale, HorizontalFlip, Normalize, ResizedCrop
from erlangen.views import Batch, Draws, Transform, generator

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KERNEL = 23
# pixels, blur, images of a pass, of a batch, target against torchvision, against kornia eager
CASES = (
    (32, False, 4096, 256, 15.0, 80.0),
    (96, False, 1024, 256, 4.0, 10.0),
    (224, True, 192, 32, 4.0, 5.0),
    (224, False, 192, 32, 2.5, 5.0),
)
GPU_CASES = ((224, True, 512, 4.0), (32, False, 1024, 1.0))  # pixels, blur, views at once, target in ms
REPEATS = 5


def photographs(n: int, size: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Smooth random colour images (n, height, width, 3)."""
    low = torch.rand(n, 3, 8, 8, generator=generator("benchmark", size))
    images = F.interpolate(low, size=(size, size), mode="bicubic").clamp(0, 1)
    return (255 * images).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def policy(size: int, blur: bool, compiled: bool) -> Pipeline:
    transforms: list[Transform] = [ResizedCrop(size), HorizontalFlip(), ColorJitter(), Grayscale()]
    transforms += [GaussianBlur(KERNEL)] if blur else []
    return Pipeline((*transforms, Normalize(MEAN, STD)), compiled=compiled)


def ours(arrays: "np.ndarray[Any, Any]", blur: bool, batch: int, compiled: bool) -> Callable[[], object]:
    images = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    pipeline = policy(images.shape[-1], blur, compiled)
    batches = [Batch(part, torch.arange(len(part))) for part in torch.split(images, batch)]

    def work() -> None:
        for step, each in enumerate(batches):
            pipeline(each, Draws(generator("benchmark", step)))

    return work


class Each(Dataset[Any]):
    """One image after the other, transformed in a worker."""

    def __init__(self, arrays: "np.ndarray[Any, Any]", transform: Callable[[Any], Any], pil: bool) -> None:
        self.arrays, self.transform, self.pil = arrays, transform, pil

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, i: int) -> Any:
        from PIL import Image

        image = self.arrays[i]
        return self.transform(Image.fromarray(image) if self.pil else torch.from_numpy(image).permute(2, 0, 1))


def loaded(
    arrays: "np.ndarray[Any, Any]", transform: Callable[[Any], Any], pil: bool, batch: int
) -> Callable[[], object]:
    loader = DataLoader(Each(arrays, transform, pil), batch, num_workers=2, persistent_workers=True)

    def work() -> None:
        for _ in loader:
            pass

    return work


def torchvision(size: int, blur: bool, pil: bool) -> Callable[[Any], Any]:
    from torchvision.transforms import v2

    transforms: list[Any] = [
        v2.RandomResizedCrop(size, (0.2, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        v2.RandomGrayscale(0.2),
    ]
    transforms += [v2.RandomApply([v2.GaussianBlur(KERNEL, (0.1, 2.0))], p=0.5)] if blur else []
    transforms += [v2.PILToTensor()] if pil else []
    transform: Callable[[Any], Any] = v2.Compose(
        [*transforms, v2.ToDtype(torch.float32, True), v2.Normalize(MEAN, STD)]
    )
    return transform


def kornia(arrays: "np.ndarray[Any, Any]", blur: bool, batch: int, compiled: bool) -> Callable[[], object]:
    import kornia.augmentation as K

    size = arrays.shape[1]
    transforms: list[Any] = [
        K.RandomResizedCrop((size, size), scale=(0.2, 1.0)),
        K.RandomHorizontalFlip(),
        K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        K.RandomGrayscale(p=0.2),
    ]
    transforms += [K.RandomGaussianBlur((KERNEL, KERNEL), (0.1, 2.0), p=0.5)] if blur else []
    chain: Any = K.AugmentationSequential(*transforms, K.Normalize(MEAN, STD))
    if compiled:
        chain = torch.compile(chain)
    batches = torch.split(torch.from_numpy(arrays).permute(0, 3, 1, 2), batch)

    def work() -> None:
        for each in batches:
            chain(each.float() / 255)

    return work


def lightly(size: int, blur: bool) -> Callable[[Any], Any]:
    """Two views of an image, so that a pass makes twice as many."""
    from lightly.transforms import SimCLRTransform

    jitter = {"cj_strength": 1.0, "cj_bright": 0.4, "cj_contrast": 0.4, "cj_sat": 0.4, "cj_hue": 0.1}
    transform: Callable[[Any], Any] = SimCLRTransform(
        input_size=size,
        min_scale=0.2,
        gaussian_blur=0.5 if blur else 0.0,
        sigmas=(0.1, 2.0),
        normalize={"mean": list(MEAN), "std": list(STD)},
        **jitter,
    )
    return transform


def rates(works: dict[str, tuple[Callable[[], Callable[[], object]], int]]) -> tuple[dict[str, float], dict[str, str]]:
    """Views per second of every contender, the passes interleaved, medians; and what failed."""
    ready: dict[str, tuple[Callable[[], object], int]] = {}
    failed: dict[str, str] = {}
    for name, (make, views) in works.items():
        try:
            work = make()
            print(f"{name}: first pass {seconds(work):.1f} s", file=sys.stderr)
            ready[name] = work, views
        except Exception as error:  # whatever a peer raises is what is reported of it
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
    times: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(REPEATS):
        for name, (work, _views) in ready.items():
            times[name].append(seconds(work))
    return {name: views / statistics.median(times[name]) for name, (_, views) in ready.items()}, failed


def cpu_row(size: int, blur: bool, n: int, batch: int, target: float, against_kornia: float) -> dict[str, Any]:
    arrays = photographs(n, size)
    first = policy(size, blur, compiled=True)
    images = torch.from_numpy(arrays[:batch]).permute(0, 3, 1, 2)
    compile_seconds = seconds(lambda: first(Batch(images, torch.arange(len(images))), Draws(generator("benchmark"))))
    few = arrays[: max(batch, n // 8)]  # kornia is slow
    measured, failed = rates(
        {
            "ours, compiled": (lambda: ours(arrays, blur, batch, True), n),
            "ours, eager": (lambda: ours(arrays, blur, batch, False), n),
            "torchvision v2, tensors": (lambda: loaded(arrays, torchvision(size, blur, False), False, batch), n),
            "torchvision v2, PIL": (lambda: loaded(arrays, torchvision(size, blur, True), True, batch), n),
            "kornia, eager": (lambda: kornia(few, blur, batch, False), len(few)),
            "kornia, compiled": (lambda: kornia(few, blur, batch, True), len(few)),
            "lightly": (lambda: loaded(few, lightly(size, blur), True, batch), 2 * len(few)),
        }
    )
    best = max(rate for name, rate in measured.items() if name.startswith("torchvision"))
    ratios = {"torchvision (2 workers)": measured["ours, compiled"] / best}
    ratios["torchvision (2 workers), ours eager"] = measured["ours, eager"] / best
    for peer in ("kornia, eager", "kornia, compiled", "lightly"):
        if peer in measured:
            ratios[peer] = measured["ours, compiled"] / measured[peer]
    return {
        "case": f"{size} px{', blur' if blur else ''}, batches of {batch}, {torch.get_num_threads()} threads",
        "views_per_second": {name: round(rate, 1) for name, rate in measured.items()},
        "ratio": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "target": {"torchvision (2 workers)": target, "kornia, eager": against_kornia},
        "compile_seconds": round(compile_seconds, 1),
        "compiled": compiler_exists(),
        "failed": failed,
    }


def gpu_row(size: int, blur: bool, views: int, target: float, device: torch.device) -> dict[str, Any]:
    """Milliseconds for a batch, and the bytes that must move over that time against the card's copy bandwidth."""
    images = (
        torch.from_numpy(photographs(min(views, 64), size)).permute(0, 3, 1, 2).repeat(views // min(views, 64), 1, 1, 1)
    )
    batch = Batch(images.to(device), torch.arange(views, device=device))
    row: dict[str, Any] = {"case": f"{views} views of {size} px{', blur' if blur else ''}", "target_ms": target}
    for compiled in (False, True):
        pipeline = policy(size, blur, compiled)
        milliseconds = _timed(lambda p=pipeline: p(batch, Draws(generator("benchmark"))), device)  # type: ignore[misc]
        row["compiled_ms" if compiled else "eager_ms"] = round(milliseconds, 3)
    moved = 5 * images.numel()  # a byte in, four out
    block = torch.empty(2**26 if device.type == "cuda" else 2**22, device=device)
    copied = 2 * 4 * block.numel() / _timed(lambda: block.clone(), device)
    row["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, to show that it runs"
    row["share_of_copy_bandwidth"] = round(moved / row["compiled_ms"] / copied, 3)
    return row


def _timed(work: Callable[[], object], device: torch.device) -> float:
    """Median milliseconds after three calls to warm up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for _ in range(3):
        work()
    times = []
    for _ in range(10):
        wait()
        start = time.perf_counter()
        work()
        wait()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    warnings.filterwarnings("ignore")  # peers' deprecations
    cuda = torch.cuda.is_available()
    rows = [cpu_row(*case) for case in CASES]
    device = torch.device("cuda" if cuda else "cpu")
    cases = GPU_CASES if cuda else tuple((size, blur, views // 16, target) for size, blur, views, target in GPU_CASES)
    gpu = [gpu_row(*case, device) for case in cases]
    publish("transforms", rows, ["torchvision", "kornia", "lightly"], gpu=gpu, gpu_open=not cuda)


if __name__ == "__main__":
    main()
