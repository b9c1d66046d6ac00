package evaluate

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestQuery(t *testing.T) {
	begin := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	var s Samples
	for i := range 11 { // 10 requests in each half minute, for five minutes
		text := fmt.Sprintf(`# TYPE asked_total counter
asked_total{cluster="aws"} %d
# TYPE state gauge
state{cluster="aws"} %d
# TYPE took_ms histogram
took_ms_bucket{le="10"} %d
took_ms_bucket{le="20"} %d
took_ms_bucket{le="+Inf"} %d
took_ms_sum{} %d
took_ms_count{} %d
`, 10*i, i%3, i, 2*i, 2*i, 30*i, 2*i)
		if err := s.Scrape(begin.Add(time.Duration(i)*30*time.Second), "envoy-1", text); err != nil {
			t.Fatal(err)
		}
	}
	now := begin.Add(5 * time.Minute)
	for expr, want := range map[string]float64{
		`asked_total`:                                        100,
		`asked_total{instance="envoy-1"}`:                    100,
		`asked_total{instance="envoy-2"}`:                    math.NaN(),
		`rate(asked_total[5m])`:                              1.0 / 3,
		`sum by (cluster) (state) * 2`:                       2,
		`state == 2`:                                         math.NaN(),
		`max_over_time(state[2m])`:                           2,
		`histogram_quantile(0.75, rate(took_ms_bucket[5m]))`: 15,
		`took_ms_sum / took_ms_count`:                        15,
		`absent(took_ms_count)`:                              math.NaN(),
		`absent(nobody)`:                                     1,
	} {
		vector, err := s.Query(expr, now)
		if got := Number(vector); err != nil || math.Abs(got-want) > 1e-9 || math.IsNaN(got) != math.IsNaN(want) {
			t.Errorf("%s: got %v, %v, want %v", expr, vector, err, want)
		}
	}
	for _, expr := range []string{`asked_total[`, `rate(state[5m`, `1`} {
		if vector, err := s.Query(expr, now); err == nil {
			t.Errorf("%s: got %v, want an error", expr, vector)
		}
	}
	if err := s.Scrape(now, "envoy-1", "no metrics {"); err == nil {
		t.Error("got no error, want one for a text that is not metrics")
	}
}
