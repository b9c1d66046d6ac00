// Package dashboard holds what Grafana and Prometheus need to show Weir's metrics and to alert on them: weir.json, a
// dashboard to import, and alerts.yaml, a file for Prometheus's rule_files.
//
//	Envoy /stats/prometheus ──scrape──► Prometheus ──alerts.yaml──► Alertmanager
//	                                        └──────── weir.json ──► Grafana
//
// The tests of module evaluate parse each expression as Prometheus does and know each metric's name; the end-to-end
// tests evaluate all of them over metrics of a real Envoy, with and without failures.
package dashboard

import _ "embed"

// Grafana is the dashboard, as Grafana 11 and later import it.
//
//go:embed weir.json
var Grafana []byte

// Alerts are the alert rules, as Prometheus 2.40 and later read them.
//
//go:embed alerts.yaml
var Alerts []byte
