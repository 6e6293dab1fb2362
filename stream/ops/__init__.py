"""What operates Segue: dashboards made by code, rules, manifests, and the runbook."""
