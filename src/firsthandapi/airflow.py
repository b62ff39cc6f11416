"""Collect datasets in DAGs of Apache Airflow 3: install firsthandapi where Airflow is. Tested with Airflow 3.3."""

from __future__ import annotations

from .engines.airflow import CollectOperator, JobTrigger

__all__ = ["CollectOperator", "JobTrigger"]
