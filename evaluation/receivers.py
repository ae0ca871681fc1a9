"""What evaluation does when news arrives from the hub: ring a task, nothing else."""
