"""What happens when a task arrives, while it is learned and when it ends."""
