"""Erlangen: image representations that are invariant or equivariant to transformations you name, and measures of both.

`train` a `recipe` on a data set, `probe` how useful its encoder is, `measure` how symmetric any encoder is, `augment`
images with transformations that return their parameters.
"""

from importlib.metadata import version

from erlangen.data import open_dataset
from erlangen.encoders import build_encoder, load_encoder, save_encoder
from erlangen.encoders.frozen import Frozen, Pixels, represent
from erlangen.measures import along_orbits, equivariance, measure
from erlangen.pipelines import Pipeline, Pipelines, Sharing, augment, replay
from erlangen.probes import probe
from erlangen.recipes import Recipe, Run, recipe, train
from erlangen.transforms import (
    BackgroundRemoved,
    Brightness,
    CenterCrop,
    ColorJitter,
    Contrast,
    Deform,
    Equalize,
    Erasing,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    Hue,
    Invert,
    Normalize,
    OneResampling,
    Posterize,
    QuarterTurn,
    Resize,
    ResizedCrop,
    Rotation,
    Saturation,
    Scaling,
    Sharpness,
    Shear,
    Solarize,
    Translation,
    VerticalFlip,
)
from erlangen.views import Batch, View

__version__ = version("erlangen")

__all__ = [
    "BackgroundRemoved",
    "Batch",
    "Brightness",
    "CenterCrop",
    "ColorJitter",
    "Contrast",
    "Deform",
    "Equalize",
    "Erasing",
    "Frozen",
    "GaussianBlur",
    "Grayscale",
    "HorizontalFlip",
    "Hue",
    "Invert",
    "Normalize",
    "OneResampling",
    "Pipeline",
    "Pipelines",
    "Pixels",
    "Posterize",
    "QuarterTurn",
    "Recipe",
    "Resize",
    "ResizedCrop",
    "Rotation",
    "Run",
    "Saturation",
    "Scaling",
    "Sharing",
    "Sharpness",
    "Shear",
    "Solarize",
    "Translation",
    "VerticalFlip",
    "View",
    "along_orbits",
    "augment",
    "build_encoder",
    "equivariance",
    "load_encoder",
    "measure",
    "open_dataset",
    "probe",
    "recipe",
    "replay",
    "represent",
    "save_encoder",
    "train",
]
