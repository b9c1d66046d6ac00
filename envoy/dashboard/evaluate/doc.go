// Package evaluate answers PromQL over metrics that a test has scraped, by Prometheus's own engine. Only tests import
// it.
//
//	var s evaluate.Samples
//	s.Scrape(at, "envoy-1", text) // as often as Prometheus would
//	vector, err := s.Query(`rate(weir_requests_total[5m])`, at)
//
// The times are the test's own: what happened within a second may be written down as five minutes.
package evaluate
