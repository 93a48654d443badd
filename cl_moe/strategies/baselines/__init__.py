"""Networks and plugins of baselines that Avalanche lacks, or lacks for one head per task."""
