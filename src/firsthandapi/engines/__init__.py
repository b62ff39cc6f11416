"""What other programs read and run jobs with: Airflow, Ray, fsspec, and many processes on one key."""
