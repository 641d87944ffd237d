"""DUET (Suau et al. 2023, arXiv:2306.16058), and SimCLR and E-SSL as its authors compare them, on CIFAR-10.

Values are the defaults of the authors' command line; the codes, which it has none for, are those of their README, whose
command is `erlangen train duet --views.tx sca rot --method.group rot --method.target vm --method.weight 1000
--views.center-crop`: about 73 % top-1 by a linear classifier that learns meanwhile, they say; it has not been run here.
Of it `duet-essl` takes all but the target, `duet-simclr` the views and the group alone, which it ignores: see
docs/duet.md.
"""

from dataclasses import dataclass, replace

from erlangen.methods.duet import DUET
from erlangen.methods.essl import ESSL
from erlangen.methods.simclr import SimCLR
from erlangen.optim import DUET_COSINE, AdamW
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.duet import DUETESSLViews, DUETViews


@dataclass(frozen=True)
class DUETSimCLR(SimCLR):
    """SimCLR, under the options of the other two."""

    group: tuple[str, ...] = ("rot",)  # ignored: SimCLR is to know of no transformation


DUET_RECIPE = Recipe(
    DUET(group=("rot",), target="ga"),
    DUETViews(("sca", "rot")),
    AdamW(lr=4e-4, betas=(0.9, 0.95), weight_decay=1e-4, schedule=DUET_COSINE),
    TrainConfig(epochs=800, batch_size=1024, drop_last=False, probe_every=10),
    "cifar10_resnet32",
    data="cifar10",
    mean=(0.5, 0.5, 0.5),
    std=(1.0, 1.0, 1.0),
)
SIMCLR = DUETSimCLR(temperature=0.1, hidden=(2048, 2048), hidden_bias=True, last_norm=True, one_batch=False, scale=2.0)
RECIPES = {
    "duet": DUET_RECIPE,
    "duet-simclr": replace(DUET_RECIPE, method=SIMCLR),
    "duet-essl": replace(DUET_RECIPE, method=ESSL("rot"), views=DUETESSLViews(("sca", "rot"))),
}
