"""Large file storage: pointer files, the batch API and its transfers."""
