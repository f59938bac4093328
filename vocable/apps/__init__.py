"""What tokens are good for."""
