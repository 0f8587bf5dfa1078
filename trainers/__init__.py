"""What a task is, and how a stage trains it: measured here, booked elsewhere."""
