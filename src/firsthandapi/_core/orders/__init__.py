"""Paid once: the record of an order, and the steps until a folder has its job."""
