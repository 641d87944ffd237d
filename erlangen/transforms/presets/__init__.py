"""View policies: scalars that a recipe holds; the transforms are made when channels and size of the data are known.

One file for each system, with a function for each of its views; beside them the policies, which have `build`. None
normalises: the first layer of the encoders does.
"""

from erlangen.transforms.presets.byol import BYOLViews
from erlangen.transforms.presets.chunks import CAREViews
from erlangen.transforms.presets.clean import CleanViews
from erlangen.transforms.presets.directpred import DirectPredViews, KTHViews
from erlangen.transforms.presets.essl import ESSLImageNetViews, ESSLViews
from erlangen.transforms.presets.issl import ISSLMultiCropViews, ISSLNotebookViews, ISSLViews
from erlangen.transforms.presets.moco import MoCoViews
from erlangen.transforms.presets.multicrop import MultiCropViews, multi_crop, recropped
from erlangen.transforms.presets.relic import ReLICv2Views, ReLICViews
from erlangen.transforms.presets.simclr import SimCLRViews

__all__ = [
    "BYOLViews",
    "CAREViews",
    "CleanViews",
    "DirectPredViews",
    "ESSLImageNetViews",
    "ESSLViews",
    "ISSLMultiCropViews",
    "ISSLNotebookViews",
    "ISSLViews",
    "KTHViews",
    "MoCoViews",
    "MultiCropViews",
    "ReLICViews",
    "ReLICv2Views",
    "SimCLRViews",
    "multi_crop",
    "recropped",
]
