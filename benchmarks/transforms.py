"""SimCLR's view policy at 32 px, eager, against torchvision v2: uint8 images in memory to float32 batches of 256."""

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks import interleaved, publish, row
from erlangen.transforms.presets import SimCLRViews
from erlangen.views import Batch, Draws, generator

BATCH, IMAGES, SIZE = 256, 2048, 32


class Views(Dataset[torch.Tensor]):
    """One image after the other, as torchvision is used."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(SIZE, (0.2, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> torch.Tensor:
        view: torch.Tensor = self.transform(self.images[i])
        return view


def main() -> None:
    images = torch.randint(0, 256, (IMAGES, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator("benchmark"))
    pipeline = SimCLRViews().build(3, SIZE).pipelines[0]  # type: ignore[attr-defined]
    batches = [Batch(part, torch.arange(len(part))) for part in torch.split(images, BATCH)]
    loader = DataLoader(Views(images), BATCH, num_workers=2, persistent_workers=True)

    def ours() -> None:
        for step, batch in enumerate(batches):
            pipeline(batch, Draws(generator("benchmark", step)))

    def theirs() -> None:
        for _ in loader:
            pass

    a, b = interleaved(ours, theirs, 5)
    case = f"SimCLR policy, {SIZE} px, {torch.get_num_threads()} threads, eager"
    publish(
        "transforms",
        [row(case, "torchvision v2 on tensors, 2 workers", IMAGES / a, IMAGES / b, "views/s", b / a, 1.0)],
        ["torchvision"],
    )


if __name__ == "__main__":
    main()
