"""What leaves the lab: INT8 models, their footprint, the Pareto front, its report."""
