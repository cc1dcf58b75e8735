"""Zero-cost proxies, and ``nas score``, which shows what they say of random architectures.

`costs.py`, `gradient.py`, `flow.py`, `activations.py`, `jacobian.py` and `trunk.py` hold the proxies, by what they look
at; `modes.py` is how they look into a network whatever it is made of.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar

from .command import nas_add_commands

__all__ = ["nas_add_commands", "nas_register"]

PROXIES = {
    "params": ("costs", "how many numbers are learned"),
    "flops": ("costs", "operations of one forward pass"),
    "l2_norm": ("costs", "norms of the weights at initialisation"),
    "grad_norm": ("gradient", "norms of the weights' gradients"),
    "snip": ("gradient", "how much the loss hangs on each weight's presence (SNIP)"),
    "grasp": ("gradient", "what the gradient's norm loses without each weight (GraSP)"),
    "fisher": ("gradient", "squared effect of each channel on the loss"),
    "plain": ("gradient", "weights times their gradients, with signs"),
    "synflow": ("flow", "flow through the network with positive weights, as a logarithm (SynFlow)"),
    "logsynflow": ("flow", "the same flow, every layer's as a logarithm (FreeREA)"),
    "naswot": ("activations", "how differently activations answer to examples (NASWOT)"),
    "zen": ("activations", "how far features move with random inputs (Zen-NAS)"),
    "jacob_cov": ("jacobian", "how little examples' gradients have in common"),
    "epe": ("jacobian", "how gradients of one class correlate (EPE-NAS)"),
    "expressivity": ("trunk", "how evenly features use their channels (AZ-NAS)"),
    "progressivity": ("trunk", "least growth of that along the depth (AZ-NAS)"),
    "trainability": ("trunk", "how near to 1 gradients' growth is along the depth (AZ-NAS)"),
}
"""Name -> the file it is in, and a line about it."""


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the proxies."""
    for name, (file, summary) in PROXIES.items():
        registry.proxy(name, f"nas_plugins.proxies.{file}:{name}", summary=summary)
