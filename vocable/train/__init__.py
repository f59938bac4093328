"""Training: the loop, schedules, checkpoints, logs and runs. Nothing here depends on speech."""
