"""Parameter spaces: which values a transformation's parameter may take, and which value does nothing.

Parameters are float tensors (n, dim) in the units of the space: angles in radians, counter-clockwise as seen; hue in
turns; boxes as fractions of the image; factors as factors; rotations of space as unit quaternions. `from_unit` maps
`dim` uniform numbers per image to a parameter. `embed` and `relative` are regression targets: zero for the identity,
zero for two equal parameters.
"""

from erlangen.spaces.base import Space
from erlangen.spaces.boxes import Box, Patch
from erlangen.spaces.groups import Circle, Cyclic, Switch
from erlangen.spaces.labels import Choice, Seed
from erlangen.spaces.lines import Cube, Factor, Interval
from erlangen.spaces.rotations import SO3

__all__ = [
    "Box",
    "Choice",
    "Circle",
    "Cube",
    "Cyclic",
    "Factor",
    "Interval",
    "Patch",
    "SO3",
    "Seed",
    "Space",
    "Switch",
]
