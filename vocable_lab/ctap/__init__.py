"""Laboratory of VQ-CTAP: its protocol, its studies, and what their reports show."""
