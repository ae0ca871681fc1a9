"""What the hub itself does when news arrives: enqueue a task, nothing else."""
