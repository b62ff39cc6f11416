"""Paid once: job.json, and what to do next until a folder has its job."""
