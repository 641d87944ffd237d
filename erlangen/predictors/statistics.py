"""What is known of a predictor's inputs: averages over steps and over the images of all ranks."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.dist import mean_over_ranks
from erlangen.losses.precision import exact


class Average(nn.Module):
    """A running mean over steps: the old one weighs `rho`, the new 1 - rho; None means that all steps weigh alike.

    The first value is taken as it is (no bias correction), as the originals do.
    """

    value: Tensor
    count: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(*shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def after(self, x: Float[Tensor, "*s"], rho: float | None) -> Float[Tensor, "*s"]:
        """What the mean will be with one more step."""
        x = x.to(self.value)
        count = self.count.to(x)
        keep = count / (count + 1) if rho is None else rho * count.clamp_max(1)
        return torch.lerp(x, self.value, keep)

    def update(self, x: Float[Tensor, "*s"], rho: float | None) -> None:
        self.value.copy_(self.after(x, rho))
        self.count.add_(1)


class Correlation(nn.Module):
    """F and the mean of a predictor's inputs, tracked over steps."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.second, self.first = Average(dim, dim), Average(dim)

    def update(self, z: Float[Tensor, "n d"], rho: float | None) -> None:
        """`z`: this rank's rows, of all views; called by all ranks."""
        z = z.to(self.first.value)
        self.second.update(mean_over_ranks(z.T @ z / len(z)), rho)
        self.first.update(mean_over_ranks(z.mean(0)), rho)

    def matrix(self, centred: bool) -> Float[Tensor, "d d"]:
        """F, or F less the square of the mean: the covariance."""
        mean = self.first.value
        return self.second.value - torch.outer(mean, mean) if centred else self.second.value.clone()


class CrossCorrelation(nn.Module):
    """Besides F the mean of t z', of a predictor's targets t and inputs z, tracked over steps."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inputs, self.cross, self.targets = Correlation(dim), Average(dim, dim), Average(dim)

    def update(self, z: Float[Tensor, "n d"], t: Float[Tensor, "n d"], rho: float | None) -> None:
        """This rank's rows, of all views; called by all ranks."""
        self.inputs.update(z, rho)
        z, t = z.to(self.cross.value), t.to(self.cross.value)
        self.cross.update(mean_over_ranks(t.T @ z / len(z)), rho)
        self.targets.update(mean_over_ranks(t.mean(0)), rho)

    def matrices(self, centred: bool) -> tuple[Float[Tensor, "d d"], Float[Tensor, "d d"]]:
        """F and the mean of t z', or the covariances."""
        c = self.cross.value
        centre = torch.outer(self.targets.value, self.inputs.first.value)
        return self.inputs.matrix(centred), c - centre if centred else c.clone()

    def reset(self) -> None:
        """The next step is the first again."""
        for average in (self.inputs.second, self.inputs.first, self.cross, self.targets):
            average.count.zero_()


class Partition(nn.Module):
    """F of the inputs on each side of random planes: what official DirectPred's `partition` predicts with.

    Every plane passes through the mean of a view's rows; `second` holds (k, 2, d, d), below and above. Sides and
    moments are the same within autocast and without: a step forms its F in its loss and after it.
    """

    planes: Tensor

    def __init__(self, dim: int, planes: int) -> None:
        super().__init__()
        self.register_buffer("planes", torch.randn(dim, planes))
        self.second = Average(planes, 2, dim, dim)

    @exact
    def sides(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k 2"]:
        """1 on the side on which a row lies, of each plane, 0 on the other; the mean is that of all ranks."""
        along = z.to(self.planes) @ self.planes
        above = along >= mean_over_ranks(along.mean(0))
        return torch.stack([~above, above], -1).to(along)

    @exact
    def moments(self, views: Sequence[Float[Tensor, "n d"]]) -> Float[Tensor, "k 2 d d"]:
        """The mean of z z' over the rows on each side, of all views and ranks; 0 where there are none."""
        z = torch.cat(list(views)).to(self.planes)
        side = torch.cat([self.sides(view) for view in views])
        total = mean_over_ranks(torch.einsum("nks,nc,nd->kscd", side, z, z) / len(z))
        share = mean_over_ranks(side.mean(0))[..., None, None]
        return torch.where(share > 0, total / share.clamp_min(torch.finfo(z.dtype).tiny), 0)

    def predict(self, z: Float[Tensor, "n d"], w: Float[Tensor, "k 2 d d"]) -> Float[Tensor, "n d"]:
        """The mean over the planes of W z, by the matrix of the side on which z lies."""
        share = self.sides(z.detach()) / len(w)
        return torch.einsum("nks,kscd,nd->nc", share.to(z), w.to(z), z)
