"""Files that other systems run Naiad by: a Helm chart, and a dashboard."""
