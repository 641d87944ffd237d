"""How symmetric a frozen encoder is, and whether it has collapsed."""

from erlangen.measures.equivariance import equivariance
from erlangen.measures.orbits import decodability, invariance, measure, orbit
from erlangen.measures.spectrum import rankme, spread

__all__ = ["decodability", "equivariance", "invariance", "measure", "orbit", "rankme", "spread"]
