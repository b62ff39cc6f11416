"""Paid once: job.json, and the steps until a folder has its job."""
