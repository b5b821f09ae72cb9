"""From the monitor's `tracing dump` to a timeline: what tests/trace is made of."""
