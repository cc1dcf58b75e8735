"""What a search may optimize: each objective is a metric that training reports and the better direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the objectives."""
    for name, summary in (
        ("val_accuracy", "Share of validation examples, or tokens, told right."),
        ("val_f1", "Mean over the classes of precision and recall together (F1), on the validation examples."),
        ("val_auroc", "Mean over the classes of the area under the ROC curve, on the validation examples."),
        ("val_r2", "Share of the variance of values that is explained on the validation examples."),
        ("val_pearson", "Linear correlation of values on the validation examples."),
        ("val_spearman", "Rank correlation of values on the validation examples."),
    ):
        registry.objective(name, name, direction="maximize", summary=summary)
    for name, summary in (
        ("val_loss", "Mean loss on the validation examples."),
        ("val_bpc", "Bits to tell a character of the validation text."),
        ("val_perplexity", "Tokens between which the network hesitates, on the validation text."),
        ("val_mae", "Mean absolute error of values on the validation examples."),
        ("params", "Number of weights to learn."),
        ("flops", "Floating-point operations of one example's forward pass."),
        ("latency_ms", "Milliseconds of one example's forward pass where it is trained, or before it under a limit."),
        ("seconds", "Seconds of the training."),
    ):
        registry.objective(name, name, direction="minimize", summary=summary)
