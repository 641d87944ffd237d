"""The type checker of the tests: beartype, an int being good where a float is asked for (PEP 484)."""

from beartype import BeartypeConf, beartype

typed = beartype(conf=BeartypeConf(is_pep484_tower=True))
