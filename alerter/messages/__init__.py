"""What a person is told: one telling of a delivery, and its shape for each way to reach somebody."""
