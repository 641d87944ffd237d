"""Methods on images whose every latent is known, shapes and shapes3d: what `erlangen study equivariance` trains.

Every view is another rendering of the figure. All methods have one encoder, optimiser and number of steps; E-SSL and
EquiMod see three views of a figure, CARE four, the others two. Those that are told
something are told the pose (DUET, whose group axis takes one number, on shapes3d the hue of the figure). What they
reach is in benchmarks/results/equivariance.json.
"""

from collections.abc import Mapping
from typing import Any

from erlangen.data.latent import Shapes3DViews, ShapesViews
from erlangen.methods.base import AnyMethod
from erlangen.methods.care import CARE
from erlangen.methods.cassle import CASSLE
from erlangen.methods.duet import DUET
from erlangen.methods.equimod import EquiMod
from erlangen.methods.plus import Plus
from erlangen.methods.sie import SIE
from erlangen.methods.simclr import SimCLR
from erlangen.methods.vicreg import VICReg
from erlangen.optim import AdamW, Cosine
from erlangen.recipes.base import Recipe
from erlangen.terms import AugSelf, TransformPrediction
from erlangen.train import TrainConfig
from erlangen.transforms.presets.chunks import CAREViews
from erlangen.views import ViewPolicy

SIZE, CHUNK = 20, 8
HEADS: dict[str, Any] = {"hidden": (256,), "out": 64}
WIDE: dict[str, Any] = {"hidden": (512,), "out": 256}  # for losses that need dimensions to spread over
SIMCLR = SimCLR(temperature=0.2, **HEADS)
POSE = ("pose",)
METHODS: Mapping[str, AnyMethod] = {
    "simclr": SIMCLR,
    "vicreg": VICReg(**WIDE),
    "care": CARE(temperature=0.2, chunk=CHUNK, **HEADS),
    "cassle": CASSLE(parameters=POSE, temperature=0.2, **HEADS),
    "essl": Plus(SIMCLR, TransformPrediction("pose", hidden=(256, 256)), weight=1.0),
    "augself": Plus(SIMCLR, AugSelf(parameters=POSE, hidden=(256, 256)), weight=1.0),
    "equimod": EquiMod(parameters=POSE, temperature=0.2, **HEADS),
    "duet": DUET(group=POSE, weight=100.0, **HEADS),
    "sie": SIE(parameters=POSE, **WIDE),
    "sie-blocks": SIE(parameters=POSE, operator="blocks", **{**WIDE, "out": 192}),
    "equimod-blocks": EquiMod(parameters=POSE, operator="blocks", temperature=0.2, **{**HEADS, "out": 96}),
}
VIEWS = {"essl": 3, "equimod": 3, "equimod-blocks": 3}
OPTIM = AdamW(lr=1e-3, weight_decay=1e-4, schedule=Cosine(warmup=0.1))
TRAIN = TrainConfig(epochs=8, batch_size=64, probe_every=8)


def policy(data: str, name: str) -> ViewPolicy:
    kind = Shapes3DViews if data == "shapes3d" else ShapesViews
    views = kind(VIEWS.get(name, 2), first_as_is=name.startswith("equimod"))
    return CAREViews(views, CHUNK) if name == "care" else views


def method(data: str, name: str) -> AnyMethod:
    return DUET(group=("foreground",), weight=100.0, **HEADS) if (data, name) == ("shapes3d", "duet") else METHODS[name]


RECIPES = {
    f"{data}-{name}": Recipe(method(data, name), policy(data, name), OPTIM, TRAIN, data=data, image_size=SIZE)
    for data in ("shapes", "shapes3d")
    for name in METHODS
}
