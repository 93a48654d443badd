"""One study is a scenario x methods x seeds: plan, run, resume, store."""
