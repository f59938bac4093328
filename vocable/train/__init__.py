"""Steps, schedules, checkpoints and logs. Knows nothing about speech."""
