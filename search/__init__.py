"""Which candidate comes next: Optuna behind Ray Tune, and the command line."""
