"""Batch scripts for a Slurm cluster, and the submitter that chains them: `python -m slurm.submit --help`."""
