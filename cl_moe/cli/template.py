"""The template of ``cl-moe new``."""

from __future__ import annotations

__all__ = ("TEMPLATE",)

TEMPLATE = """\
# A scenario: tasks, network, training and methods.
# `cl-moe check NAME.toml` reports its errors, `cl-moe run NAME.toml` runs it.

name = "NAME"
title = "One line about this study"
seeds = 3            # every method is run with seeds 0, 1 and 2
baseline = "dense"   # the method that differences refer to

# --- sources of data -------------------------------------------------------------------------
# `cl-moe list sources` lists the types. A source may be a slot, which takes the first type
# whose data are available:
#   any_of = [{ type = "torchvision", dataset = "MNIST" }, { type = "digits" }]

[sources.digits]
type = "digits"      # scikit-learn's 8x8 digits: nothing is downloaded

# --- tasks, in the order of learning -----------------------------------------------------------

[[tasks]]
name = "low_digits"
source = "digits"
classes = [0, 1, 2, 3, 4]
per_class = 60       # training examples per class

[[tasks]]
name = "high_digits"
source = "digits"
classes = [5, 6, 7, 8, 9]
per_class = 60

[[tasks]]
name = "turned"      # derived from an earlier task; see `cl-moe list operators`
from = "low_digits"
per_class = 10
group = "low_resource"   # results are also averaged over the tasks of a group
operators = [{ operator = "rotate", degrees = 90 }]

# A probe is an unseen task, learned from a copy of the state after the last task. A list of sizes
# gives one probe per size.
[[probes]]
name = "inverted"
from = "high_digits"
per_class = [5, 20]
operators = ["invert"]

# --- network and training, the same for every method---------------------------------------------

[network]
kind = "mlp"         # see `cl-moe list experts`
hidden = [64]

[training]
epochs = 5
batch_size = 32
optimizer = "adam"
learning_rate = 0.001
schedule = "constant"  # or "one_cycle": in each task the rate rises to learning_rate and falls to 0
min_steps = 100      # the default; small tasks get more epochs, up to this number of steps

# --- methods (see `cl-moe list methods`); other keys are the method's parameters -----------------

[[methods]]
name = "dense"

[[methods]]
name = "ewc"
grid = { strength = [1.0, 100.0, 10000.0] }   # chosen on held-out training data

[[methods]]
name = "single_task"

[[methods]]
name = "moe"
"""
