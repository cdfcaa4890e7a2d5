"""Many runs: planned, run side by side, compared, probed."""
