"""Training: optimiser and schedule, state, validation, the loop."""
