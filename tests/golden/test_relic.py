"""ReLIC's losses, views, schedule, networks and retrieval against the original (`relic_*`)."""

import math

import pytest
import torch
from torch import Tensor, nn
from vectors import Case, cases, check_close

from erlangen import losses
from erlangen.methods.base import Clock
from erlangen.methods.relic import LOGITS, Nets, ReLIC
from erlangen.nets import Encoder, cosine_decay
from erlangen.views import View

FLOAT64 = {"rtol": 1e-7, "atol": 1e-9}
FLOAT32 = {"rtol": 1e-4, "atol": 1e-5}
ROUNDED = {"rtol": 0, "atol": 1e-6}  # what the original computes in float32
EXACT = {"rtol": 0, "atol": 0}
PAIR = "x|x_prime|tau|alpha|b|max_tau|loss|invariance|grad_(x|x_prime|tau|b)"
CLAIMS = {
    "relic_pair*.npz": f"{PAIR}|cosine",
    "relic_siglip*.npz": PAIR,
    "relic_multiview*.npz": "online|target|tau|alpha|b|max_tau|(two|six|ascoded)_(pairs|loss|invariance)"
    "|(two|six)_grad_(online|tau)|siglip_(tau|b)|six_siglip_(loss|invariance)",
    "relic_gamma*.npz": r"k|K|gamma_base|gamma|loop\d+_(args|rows)",
    "relic_model*.npz": "[xot][12]|loss|invariance|gamma|acc_(logits|top[15])|(before|after_ema|after_copy|grad)/.+",
}


class Slice(Encoder):
    """The representation is what a net makes of some columns of the images (n, d, 1, 1)."""

    layers, spec = (), {}

    def __init__(self, columns: slice, dim: int, net: nn.Module | None = None) -> None:
        super().__init__()
        self.columns, self.dim, self.net = columns, dim, net or nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images[:, self.columns, 0, 0])


def view(x: Tensor) -> View:
    return View(x[:, :, None, None], {}, {}, torch.arange(len(x)))


def contrast(case: Case) -> str:
    return "sigmoid" if "siglip" in case.file else "softmax"


def compare_pair(case: Case, dtype: torch.dtype, tolerance: dict[str, float]) -> None:
    """Loss, KL and every gradient, for each tau and alpha."""
    for t, tau in enumerate(case["tau"]):
        for a, alpha in enumerate(case["alpha"].tolist()):
            x, x_prime = (case[name].to(dtype).requires_grad_() for name in ("x", "x_prime"))
            scalars = [value.to(dtype)[None].requires_grad_() for value in (tau, case["b"])]
            loss, kl = losses.relic(x, x_prime, *scalars, alpha, case.value("max_tau"), contrast(case))
            loss.backward()
            found = {"loss": loss, "invariance": kl, "grad_x": x.grad, "grad_x_prime": x_prime.grad}
            found |= {"grad_tau": scalars[0].grad[0], "grad_b": scalars[1].grad[0]}
            assert loss.dtype == dtype
            for name, value in found.items():
                check_close(value, case[name][t, a], **tolerance)


pairs = pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, FLOAT64), (torch.float32, FLOAT32)], ids=["float64", "float32"]
)


@cases("relic_pair*.npz")
@pairs
def test_softmax(case, dtype, tolerance):
    """Instance discrimination by a softmax: the loss, its KL and the gradients; above its most tau has none."""
    compare_pair(case, dtype, tolerance)
    above = case["tau"].exp() > case.value("max_tau")
    check_close(case["grad_tau"][above], torch.zeros_like(case["grad_tau"][above]), **EXACT)


@cases("relic_siglip*.npz")
@pairs
def test_sigmoid(case, dtype, tolerance):
    """The sigmoid variant, whose bias is learned: everywhere it has a gradient; above its most tau has none."""
    compare_pair(case, dtype, tolerance)
    above = case["tau"].exp() > case.value("max_tau")
    check_close(case["grad_tau"][above], torch.zeros_like(case["grad_tau"][above]), **EXACT)
    assert (case["grad_b"] != 0).all()


@cases("relic_pair*.npz")
def test_cosines(case):
    """With a multiplier of 1 and no KL the loss is the cross entropy of the original's table of cosines."""
    table, x, x_prime, zero = case["cosine"].tolist(), case["x"], case["x_prime"], torch.zeros(1, dtype=torch.float64)
    rows = [math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(table)]
    check_close(losses.relic(x, x_prime, zero, zero, 0.0)[0], sum(rows) / len(rows), **FLOAT64)


def multi_view(case: Case, method: ReLIC) -> tuple[Nets, list[View]]:
    """Networks that hand on the case's projections, and the views that hold them: online beside target."""
    online, target = case["online"], case["target"]
    d = online.shape[2]
    beside = torch.cat([target, torch.zeros_like(online[len(target) :])])  # the target never sees a small view
    nets = method.build(Slice(slice(0, d), d)).double()
    nets.online.projector = nets.target.projector = nn.Identity()
    nets.target.encoder.columns = slice(d, 2 * d)
    return nets, [view(x) for x in torch.cat([online, beside], 2)]


def run(method: ReLIC, nets: Nets, views: list[View], tau: Tensor, b: Tensor):
    with torch.no_grad():
        nets.tau.fill_(tau)
        nets.b.fill_(b)
    return method.loss(nets, views)


@cases("relic_multiview*.npz", r"((?:two|six|ascoded)_)(?:pairs|loss|invariance)")
def test_views(case, monkeypatch):
    """The pairs of views, one by one and in the mean: large ones alone, all as intended, and as released."""
    every, large = Case(case.file), len(Case(case.file)["target"])
    seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    original = losses.relic

    def spy(x, x_prime, *args):
        loss, kl = original(x, x_prime, *args)
        seen.append((x.detach(), x_prime, loss, kl))
        return loss, kl

    monkeypatch.setattr(losses, "relic", spy)
    views_of = range(large) if case.prefix == "two_" else range(len(every["online"]))
    places = [*range(large), *range(len(views_of) - large)] if case.prefix == "ascoded_" else views_of
    for t, tau in enumerate(every["tau"]):
        for a, alpha in enumerate(every["alpha"].tolist()):
            logits = (1.0, every.value("max_tau"), every.value("b"))
            method = ReLIC(
                alpha, logits=logits, large=large, pairs="released" if case.prefix == "ascoded_" else "intended"
            )
            nets, views = multi_view(every, method)
            seen.clear()
            output = run(method, nets, [views[k] for k in views_of], tau, every["b"])
            check_close(output.loss, case["loss"][t, a], **FLOAT64)
            check_close(output.logs["kl"], case["invariance"][t, a], **FLOAT64)
            if t == 0 and a == len(every["alpha"]) - 1:
                rows = case["pairs"]
                assert len(seen) == len(rows)
                for (x, x_prime, loss, kl), (i, j, *golden) in zip(seen, rows.tolist(), strict=True):
                    check_close(x, every["online"][places[int(j)]], **EXACT)
                    check_close(x_prime, every["target"][int(i)], **EXACT)
                    check_close(torch.stack([loss, kl]), torch.tensor(golden), **FLOAT64)


@cases("relic_multiview*.npz", r"((?:two|six)_)grad_\w+")
def test_gradients_of_views(case):
    """The gradient of the mean over pairs reaches every online view and tau."""
    every = Case(case.file)
    method = ReLIC(every["alpha"][-1].item(), logits=(1.0, every.value("max_tau"), 0.0), large=len(every["target"]))
    nets, views = multi_view(every, method)
    for each in views:
        each.images.requires_grad_()
    output = run(method, nets, views[: len(case["grad_online"])], every["tau"][0], every["b"])
    output.loss.backward()
    check_close(nets.tau.grad[0], case["grad_tau"], **FLOAT64)
    for each, golden in zip(views, case["grad_online"], strict=False):
        check_close(each.images.grad[:, : golden.shape[1], 0, 0], golden, **FLOAT64)


@cases("relic_multiview*.npz")
def test_views_with_a_sigmoid(case):
    """All views as intended, with the sigmoid variant, which begins at the case's tau and b."""
    most = LOGITS["sigmoid"][1]
    scale = case["siglip_tau"].exp().clamp(max=most)
    method = ReLIC(contrast="sigmoid", logits=(scale.item(), most, case.value("siglip_b")), large=len(case["target"]))
    nets, views = multi_view(case, method)
    check_close(nets.tau[0].exp(), scale, rtol=1e-6, atol=0)  # built in float32
    check_close(nets.b[0], case["siglip_b"], rtol=1e-6, atol=0)
    output = run(method, nets, views, case["siglip_tau"], case["siglip_b"])
    check_close(output.loss, case["six_siglip_loss"], **FLOAT64)
    check_close(output.logs["kl"], case["six_siglip_invariance"], **FLOAT64)


@cases("relic_gamma*.npz")
def test_schedule(case):
    """The coefficient, at every step and for every base."""
    for base, row in zip(case["gamma_base"].tolist(), case["gamma"].tolist(), strict=True):
        for step, gamma in zip(case["k"].tolist(), row, strict=True):
            check_close(cosine_decay(base, step, int(case.value("K"))), gamma, **ROUNDED)


@cases("relic_gamma*.npz", r"(loop\d+_)\w+")
def test_loop(case):
    """Step by step: whether the target is copied, averaged or left, by which coefficient, and which one is logged."""
    per_epoch, epochs, after, every = map(int, case["args"][:4])
    method = ReLIC(decay=case["args"][4].item(), after=after, every=every, hidden=3, out=2)
    nets = method.build(Slice(slice(0, 4), 4, nn.BatchNorm1d(4))).double()
    views = [view(torch.randn(3, 4, dtype=torch.float64)) for _ in range(2)]
    assert len(case["rows"]) == per_epoch * epochs
    for step, action, used, kept in case["rows"].tolist():
        check_close(method.loss(nets, views).logs["gamma"], kept, **ROUNDED)
        with torch.no_grad():
            for net, value in ((nets.online, 1.0), (nets.target, 0.0)):
                for p in net.parameters():
                    p.fill_(value)
        method.after_step(nets, {}, Clock(int(step) + 1, per_epoch * epochs, per_epoch))
        moved = torch.cat([p.detach().flatten() for p in nets.target.parameters()])
        expected = {0: 0.0, 1: 1.0 - used, 2: 1.0}[int(action)]
        check_close(moved, torch.full_like(moved, expected), **(ROUNDED if action == 1 else EXACT))


NETS = {"online_encoder": "online", "target_encoder": "target"}
PARTS = {"0": "encoder.net", "1.block": "projector"}


def renamed(name: str) -> str:
    """The original's name of a tensor -> ours."""
    if "." not in name:
        return name
    net, rest = name.split(".", 1)
    part = next(theirs for theirs in PARTS if rest.startswith(theirs))
    return f"{NETS[net]}.{PARTS[part]}{rest.removeprefix(part)}"


def model(case: Case, **values) -> tuple[ReLIC, Nets]:
    """The original's networks, with the weights that they have before."""
    weights = case.under("before/")
    dim, width = weights["online_encoder.0.0.weight"].shape
    out, hidden = weights["online_encoder.1.block.2.weight"].shape
    method = ReLIC(hidden=hidden, out=out, **values)
    net = nn.Sequential(nn.Linear(width, dim), nn.BatchNorm1d(dim))
    nets = method.build(Slice(slice(0, width), dim, net))
    state = {renamed(name): value.reshape(nets.state_dict()[renamed(name)].shape) for name, value in weights.items()}
    assert nets.state_dict().keys() - state.keys() == {"gamma"}
    nets.load_state_dict({**state, "gamma": nets.gamma})
    return method, nets


@cases("relic_model*.npz")
def test_model(case):
    """Projections of both networks, with the batch's statistics, the loss, its KL and all gradients."""
    method, nets = model(case)
    nets.double()
    views = [view(case["x1"]), view(case["x2"])]
    targets = [nets.target(each.images)[1] for each in views]
    output = method.loss(nets, views)
    output.loss.backward()
    for name, value in zip(("o1", "o2", "t1", "t2"), (*output.embeddings, *targets), strict=True):
        check_close(value, case[name], **FLOAT64)
    check_close(output.loss, case["loss"], **FLOAT64)
    check_close(output.logs["kl"], case["invariance"], **FLOAT64)
    for name, golden in case.under("grad/").items():
        grad = nets.get_parameter(renamed(name)).grad
        if grad is None:  # b, which a softmax does not feel
            grad = torch.zeros_like(golden)
        check_close(grad.reshape(golden.shape), golden, **FLOAT64)


@cases("relic_model*.npz")
@pytest.mark.parametrize("kind", ["ema", "copy"])
def test_target(case, kind):
    """The target after a moving average and after a copy: weights, running statistics, counters."""
    method, nets = model(case, decay=case.value("gamma"), after=0)
    method.after_step(nets, {}, Clock(1 if kind == "copy" else 2, 10, 5))
    tolerance = EXACT if kind == "copy" else ROUNDED
    after = case.under(f"after_{kind}/")
    assert {renamed(name) for name in after} == {name for name in nets.state_dict() if name.startswith("target.")}
    for name, golden in after.items():
        check_close(nets.state_dict()[renamed(name)], golden, **tolerance)


@cases("relic_model*.npz")
def test_retrieval(case):
    """How often the diagonal is among the 1 and the 5 largest of its row."""
    logits = case["acc_logits"]
    # Rows as queries and the axes as keys: their cosines are the logits over the length of the row.
    top1, top5 = losses.retrieval(logits, torch.eye(len(logits), dtype=logits.dtype))
    check_close(top1, case["acc_top1"], **FLOAT32)
    check_close(top5, case["acc_top5"], **FLOAT32)
