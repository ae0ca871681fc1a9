"""Fine-tuning: a base model and a data set into a new model, with proof of what it changed.

`specs`, `results`, `events` and `recipes` are standard library and numpy alone, so that the
platform can read them; the rest imports torch when a job runs. `ml_core.finetune` is the job.
"""
