"""What is added to the loss of any method: terms that read the parameters of its views."""

from erlangen.terms.base import Term, Value

__all__ = ["Term", "Value"]
