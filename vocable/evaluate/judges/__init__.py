"""What listens in our place: models of others that hear a clip and say who, what, how high and how good."""
