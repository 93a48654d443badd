"""One study = scenario x methods x seeds: planning, execution, resumption and storage."""
