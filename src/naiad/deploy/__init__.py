"""Files for other systems to run Naiad by: a Helm chart and a Grafana dashboard."""
