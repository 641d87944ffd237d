"""How symmetric a frozen encoder is, and whether it has collapsed."""

from erlangen.measures.equivariance import equivariance
from erlangen.measures.orbits import along_orbits, decodability, invariance, orbit
from erlangen.measures.pieces import measure
from erlangen.measures.spectrum import rankme, spread

__all__ = ["along_orbits", "decodability", "equivariance", "invariance", "measure", "orbit", "rankme", "spread"]
