"""Operations as code: Grafana dashboards, Prometheus rules, Kubernetes manifests."""
