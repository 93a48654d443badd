"""Pure functions of a study's rows: metrics, intervals, figures."""
