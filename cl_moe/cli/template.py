"""What ``cl-moe new`` writes."""

from __future__ import annotations

__all__ = ("TEMPLATE",)

TEMPLATE = """\
# A scenario: the tasks, the network, the budget, and who learns them.
# `cl-moe check NAME.toml` says what is wrong with it, `cl-moe run NAME.toml` runs it.

name = "NAME"
title = "One line that says what this study is about"
seeds = 3            # every method is run with the seeds 0, 1 and 2
baseline = "dense"   # the method that the others are compared with

# --- where data come from --------------------------------------------------------------------
# `cl-moe list sources` lists the types. A source may be a slot, of which the first type whose
# data are at hand is taken:
#   any_of = [{ type = "torchvision", dataset = "MNIST" }, { type = "digits" }]

[sources.digits]
type = "digits"      # scikit-learn's 8x8 digits: nothing is downloaded

# --- the tasks, in the order in which they are learned -----------------------------------------

[[tasks]]
name = "low_digits"
source = "digits"
classes = [0, 1, 2, 3, 4]
per_class = 60       # training examples a class

[[tasks]]
name = "high_digits"
source = "digits"
classes = [5, 6, 7, 8, 9]
per_class = 60

[[tasks]]
name = "turned"      # made from an earlier task; `cl-moe list operators` lists what can be done
from = "low_digits"
per_class = 10
group = "low_resource"   # tasks of a group are also averaged by themselves
operators = [{ operator = "rotate", degrees = 90 }]

# An unseen task is learned from a copy of the state after the last task, then forgotten; a list
# of sizes gives one for each.
[[probes]]
name = "inverted"
from = "high_digits"
per_class = [5, 20]
operators = ["invert"]

# --- the same network and budget for every method ------------------------------------------------

[network]
kind = "mlp"         # `cl-moe list experts`
hidden = [64]

[training]
epochs = 5
batch_size = 32
optimizer = "adam"
learning_rate = 0.001
min_steps = 100      # the default: a small task gets more epochs, until it has had so many steps

# --- who learns: `cl-moe list methods`; all other keys are the method's parameters ---------------

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
