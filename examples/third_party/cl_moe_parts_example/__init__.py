"""Parts for cl_moe from outside: a gate, a growth policy, a metric and its figure."""
