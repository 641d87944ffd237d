"""DINO as ISSL has it against the original (`issl_dino`): its loss, its schedules, whole steps of training."""

import torch
from issl_heads import LEAVES, Given, hidden_layers, widths
from torch import Tensor, nn
from vectors import Case, cases, check_close

from erlangen.methods.base import Clock
from erlangen.methods.dino import DINO, Nets
from erlangen.nets import Branch
from erlangen.views import View

FILES = "issl_dino*.npz"
FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}
CLAIMS = {
    FILES: "|".join(
        (
            r"hp\.[BDC]|tau\.(global_step|value)",
            # losses in a row
            r"\w+\.hp\.((student|teacher)_temperature|warmup_teacher_temp(_epochs)?|center_momentum|n_epochs)",
            r"\w+\.(teacher_temp_schedule|teacher_temperature|epochs|student|teacher|loss|grad_student|center_after)",
            r"\w+\.log\..+",
            # whole steps
            r"\w+\.hp\.(steps_per_epoch|max_epochs|initial_tau|lr|global_step_increment)",
            r"\w+\.(x|x_tilde|grad_z|param_norms|tau_used|tau_next)",
            r"\w+\.w\.(encoder\..+|loss\.((projector|teacher_encoder|teacher_proj)\..+|center))",
            r"\w+\.final\.loss\.(teacher_encoder|teacher_proj)\..+",
        )
    )
}


def check_number(value: float, golden: Tensor) -> None:
    check_close(torch.tensor(value, dtype=torch.float64), golden, **FLOAT64)


def view(images: Tensor) -> View:
    return View(images[:, :, None, None], {}, {}, torch.arange(len(images)))


class Half(Given):
    """The logits are the image, of the student in its first half, of the teacher in its second."""

    def __init__(self, classes: int, half: int) -> None:
        super().__init__(classes)
        self.half, self.unused = half, nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).chunk(2, 1)[self.half]


def scheduled(case: Case) -> DINO:
    """ISSL's form with the temperatures and the momentum of the case."""
    return DINO(
        hidden=(4,),
        classes=case["teacher"].shape[2],
        sphere="hidden",
        temperature=case.value("hp.student_temperature"),
        teacher_temperature=case.value("hp.warmup_teacher_temp"),
        final_temperature=case.value("hp.teacher_temperature"),
        warmup_epochs=int(case.value("hp.warmup_teacher_temp_epochs")),
        center_momentum=case.value("hp.center_momentum"),
        centering="direction",
    )


@cases(FILES, r"(\w+\.)teacher_temp_schedule")
def test_teacher_temperature(case):
    """The teacher's temperature in every epoch of a run, and past its end."""
    method, golden = scheduled(case), case["teacher_temp_schedule"]
    assert len(golden) == case.value("hp.n_epochs")
    for epoch, value in enumerate(golden):
        check_number(method.teaching(epoch), value)
    check_number(method.teaching(len(golden) + 3), golden[-1])


@cases(FILES, r"(\w+\.)(?:student|teacher|epochs|grad_student)")
def test_losses_and_centers(case):
    """Loss, monitors and gradient of steps in a row, each in its epoch; the center after each of them."""
    method = scheduled(case)
    classes, epochs = case["teacher"].shape[2], case["epochs"].tolist()
    nets = method.build(Half(classes, 0)).double()
    nets.student, nets.teacher = (Branch(Half(classes, i).double(), nn.Identity()) for i in (0, 1))
    nets.temperature.fill_(method.teaching(epochs[0]))
    for k, epoch in enumerate(epochs):
        check_close(nets.temperature, case["teacher_temperature"][k], **FLOAT64)
        student = case["student"][k].requires_grad_()
        output = method.loss(nets, [view(rows) for rows in torch.cat([student, case["teacher"][k]], 1).chunk(2)])
        output.loss.backward()
        check_close(output.loss, case["loss"][k], **FLOAT64)
        check_close(student.grad, case["grad_student"][k], **FLOAT64)
        golden = case.under("log.")
        assert output.logs.keys() == golden.keys()
        for name, values in golden.items():
            check_close(output.logs[name], values[k], **FLOAT64)
        after = epochs[k + 1] if k + 1 < len(epochs) else epoch
        method.after_step(nets, output.carry, Clock(after, max(epochs) + 1, 1))
        check_close(nets.center.value[None], case["center_after"][k], **FLOAT64)


def momentum(case: Case, ticks: int) -> tuple[DINO, int]:
    """A method with the case's decay, so many counts of its cosine in a step; the steps of the run."""
    (name,) = {name.removesuffix("hp.initial_tau") for name in case.under("") if name.endswith(".hp.initial_tau")}
    full = Case(case.file, name)
    steps = int(full.value("hp.steps_per_epoch") * full.value("hp.max_epochs"))
    return DINO(decay=full.value("hp.initial_tau"), ticks=ticks), steps


@cases(FILES, "()tau.global_step")
def test_decay(case):
    """The teacher's decay at every count of the cosine, which comes back after twice the run."""
    method, steps = momentum(case, 1)
    for count, tau in zip(case["tau.global_step"].tolist(), case["tau.value"], strict=True):
        check_number(method.momentum(count, steps), tau)


class Encoding(Given):
    """ISSL's encoder in the vectors: Linear and BatchNorm, under the names that they have there."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__(len(weights["0.weight"]))
        self.net = nn.Sequential(nn.Linear(weights["0.weight"].shape[1], self.dim), nn.BatchNorm1d(self.dim))
        self.h: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.h.append(self.net(super().forward(images)))
        return self.h[-1]


def renamed(weights: dict[str, Tensor]) -> dict[str, str]:
    """The original's names of its head's tensors -> ours; the gain, fixed at 1, is no tensor here."""
    mlp = {f"{theirs}.{leaf}": f"mlp.{i}.{leaf}" for theirs, i in hidden_layers(weights).items() for leaf in LEAVES}
    last = {"bottleneck.weight": "bottleneck.weight", "linear.weight_v": "prototypes.weight_v"}
    names = {**mlp, **{f"post_block.{theirs}": ours for theirs, ours in last.items()}}
    gain = weights["post_block.linear.weight_g"]
    check_close(gain, torch.ones_like(gain), rtol=0, atol=0)
    assert set(weights) <= {*names, "post_block.linear.weight_g"}, f"unknown: {set(weights) - set(names)}"
    return names


def fill(head: nn.Module, weights: dict[str, Tensor]) -> None:
    names = renamed(weights)
    head.load_state_dict({names[name]: w for name, w in weights.items() if name in names})


def build(case: Case) -> tuple[DINO, Nets, int, int]:
    """The method and its networks with all weights of the case before the first step; the run's steps, an epoch's."""
    encoder, student, teacher = (
        case.under(f"w.{name}.") for name in ("encoder", "loss.projector", "loss.teacher_encoder")
    )
    hidden, bottleneck, classes = widths(student)
    assert bottleneck is not None
    per_epoch, epochs = (int(case.value(f"hp.{name}")) for name in ("steps_per_epoch", "max_epochs"))
    method = DINO(
        hidden=hidden,
        bottleneck=bottleneck,
        classes=classes,
        norm=True,
        sphere="hidden",
        own_head=True,
        centering="direction",
        decay=case.value("hp.initial_tau"),
        ticks=int(case.value("hp.global_step_increment")),
    )
    nets = method.build(Encoding(encoder)).double()
    nets.student.encoder.net.load_state_dict(encoder)
    nets.teacher.encoder.net.load_state_dict(teacher)
    fill(nets.student.projector, student)
    fill(nets.teacher.projector, case.under("w.loss.teacher_proj."))
    nets.center.value.copy_(case["w.loss.center"][0])
    nets.temperature.fill_(method.teaching(0))  # to all digits
    return method, nets, per_epoch * epochs, per_epoch


def norms(nets: Nets) -> Tensor:
    """Of all parameters of encoder, teacher's encoder, head and teacher's head, as the original has them: gains too."""
    found = []
    for part, gains in (("encoder", 0), ("projector", nets.center.value.numel())):
        for branch in (nets.student, nets.teacher):
            squares = sum(float(p.detach().square().sum()) for p in branch.get_submodule(part).parameters())
            found.append((squares + gains) ** 0.5)
    return torch.tensor(found, dtype=torch.float64)


@cases(FILES, r"(\w+\.)(?:x|x_tilde|tau_used|param_norms)")
def test_training(case):
    """Steps of plain SGD, the teacher following: losses, gradients, centers, norms of networks, the last teacher."""
    method, nets, steps, per_epoch = build(case)
    rate = case.value("hp.lr")
    for k, images in enumerate(zip(case["x"], case["x_tilde"], strict=True)):
        output = method.loss(nets, [view(x) for x in images])
        (h,) = nets.student.encoder.h
        h.retain_grad()
        output.loss.backward()
        check_close(output.loss, case["loss"][k], **FLOAT64)
        check_close(h.grad, case["grad_z"][k], **FLOAT64)
        with torch.no_grad():
            for p in nets.student.parameters():
                p -= rate * p.grad
                p.grad = None
        nets.student.encoder.h.clear()
        check_number(method.momentum(k, steps), case["tau_used"][k])
        method.after_step(nets, output.carry, Clock(k + 1, steps, per_epoch))
        check_close(nets.center.value[None], case["center_after"][k], **FLOAT64)
        check_close(norms(nets), case["param_norms"][k], **FLOAT64)
    check_number(method.momentum(len(case["loss"]), steps), case["tau_next"])
    for name, value in case.under("final.loss.teacher_encoder.").items():
        check_close(nets.teacher.encoder.net.state_dict()[name], value, **FLOAT64)
    final = case.under("final.loss.teacher_proj.")
    names, state = renamed(final), nets.teacher.projector.state_dict()
    for name in names.keys() & final.keys():
        check_close(state[names[name]], final[name], **FLOAT64)


@cases(FILES)
def test_sizes(case):
    """The file says how many images, dimensions and classes its cases have."""
    images, dim, classes = (case.value(f"hp.{name}") for name in "BDC")
    shapes = {"student": (2 * images, classes), "teacher": (2 * images, classes), "x": (images, dim)}
    shapes |= {"x_tilde": (images, dim), "w.loss.center": (classes,)}
    found = {name: x.shape[1:] for name, x in case.under("").items() if name.partition(".")[2] in shapes}
    assert found and all(shape == shapes[name.partition(".")[2]] for name, shape in found.items())
