"""What to try next, and running it inside the budget."""
