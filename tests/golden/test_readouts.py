"""The read-outs of ssl-invariances (Ericsson et al. 2021): ridge and logistic regression on features as they are."""

import torch
from vectors import cases, check_close

from erlangen.probes.ericsson import decays_of
from erlangen.solvers import kernel_ridge, logistic_path, r2, ridge

CLAIMS = {
    "inv_readout_kernelridge*.npz": r"\w*?(X_train|y_train|X_test|y_test|alphas|gammas|r2)",
    "inv_readout_ridge*.npz": r"\w*?(X_train|y_train|X_test|y_test|alpha|r2|mse|wd_range_c\d+)",
    "inv_readout_logistic*.npz": r"\w*?(X_train|y_train|X_test|y_test|C|accuracy|mean_per_class|confusion)",
}


@cases("inv_readout_logistic*.npz", r"(\w*?)confusion")
def test_logistic(case):
    """Accuracy, its mean over classes and the whole confusion matrix, for every strength of the penalty."""
    x, y, classes = case["X_train"], case["y_train"], case["confusion"].shape[-1]
    penalties = (1 / (len(x) * case["C"])).tolist()
    for i, model in enumerate(logistic_path(x, y, classes, penalties, standardise=False)):
        predicted = model(case["X_test"]).argmax(1)
        confusion = torch.zeros(classes, classes, dtype=torch.int64)
        confusion.index_put_((case["y_test"], predicted), torch.tensor(1), accumulate=True)
        assert torch.equal(confusion, case["confusion"][i])
        check_close(model.accuracy(case["X_test"], case["y_test"]), case["accuracy"][i], rtol=1e-12, atol=0)
        per_class = (confusion.diag() / confusion.sum(1)).double().mean()
        check_close(per_class, case["mean_per_class"][i], rtol=1e-6, atol=0)


@cases("inv_readout_ridge*.npz", r"(\w*?)alpha")
def test_ridge(case):
    """R^2 and the mean squared error over all outputs, for every alpha."""
    x, new, truth = case["X_train"], case["X_test"], case["y_test"].double()
    for i, model in enumerate(ridge(x, case["y_train"], (case["alpha"] / len(x)).tolist(), standardise=False)):
        check_close(r2(model(new), truth), case["r2"][i], rtol=1e-5, atol=1e-6)  # 1 - what a float32 had
        check_close((model(new) - truth).square().mean(), case["mse"][i], rtol=1e-5, atol=0)


@cases("inv_readout_ridge*.npz", r"(\w*?)alpha")
def test_decays(case):
    """The range of both sweeps, for every number of encoders in the file."""
    for extra, decays in case.under("wd_range_c").items():
        check_close(torch.tensor(decays_of(int(extra))), decays, rtol=1e-6, atol=0)


@cases("inv_readout_kernelridge*.npz", r"(\w*?)gammas")
def test_kernel_ridge(case):
    """R^2 of every pair of a penalty and a width; the smallest penalty leaves the original itself ill-conditioned."""
    alphas, gammas = case["alphas"].tolist(), case["gammas"].tolist()
    models = kernel_ridge(case["X_train"], case["y_train"], alphas, gammas)
    for i, alpha in enumerate(alphas):
        found = torch.tensor([r2(model(case["X_test"]), case["y_test"]) for model in models[i]])
        tolerance = 1e-5 if alpha > 1e-3 else 1e-3
        check_close(found, case["r2"][i], rtol=tolerance, atol=tolerance)
