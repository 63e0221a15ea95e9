"""How one candidate is taught and judged."""
