package status

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// example is a status as the admin listener sends it, of four clusters.
func example(t *testing.T) *Status {
	t.Helper()
	raw, err := os.ReadFile("testdata/status.json")
	if err != nil {
		t.Fatal(err)
	}
	var s Status
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestTable(t *testing.T) {
	for name, test := range map[string]struct {
		page   Page
		status *Status
		want   string
	}{
		"plain": {
			Page{},
			example(t),
			`http://admin at 2026-11-24T10:00:00Z: 4 clusters, 1 open, 1 lowered, 1 ok, 1 off
Redis: trouble, 120 calls, 4 of them failed

STATE    CLUSTER       LIMIT/MIN  LEFT  IN FLIGHT  ALLOWED  REFUSED  FALLBACK  RETRIES  FAILED OVER  WHY
open     aws_pricing  100.2 each                       140       31        24        9            4  opened 12s ago by 5 failures in a row, the 2nd time; the next probe in 48s
lowered  azure            70/100    12       3/10      980       20         0                        success rate 64%: the limit went down to 70 of 100 a minute
ok       healthy             100    41                 310        0         0
off      quotes                                                                                      its policy is off: requests pass untouched
`,
		},
		"in colour": {
			Page{Color: true},
			&Status{Clusters: map[string]Cluster{"aws": {Breaker: &Breaker{State: "half_open", SuccessThreshold: 3}}}, Redis: &Redis{State: "trouble"}},
			"\x1b[1mhttp://admin\x1b[0m at 0001-01-01T00:00:00Z: 1 cluster, 1 half-open\n" +
				"Redis: \x1b[31mtrouble\x1b[0m, 0 calls, 0 of them failed\n\n" +
				"\x1b[2mSTATE      CLUSTER  WHY\x1b[0m\n\x1b[33mhalf-open\x1b[0m  aws      probing: 0 of 3 successes that close it\n",
		},
		"hostile names": {
			Page{},
			&Status{Clusters: map[string]Cluster{"\x1b[2J\u202eaws": {}, "\u65e5\u672c": {}, string(bytes.Repeat([]byte("x"), 60)): {}}, Redis: &Redis{State: "o\rk"}},
			"http://admin at 0001-01-01T00:00:00Z: 3 clusters, 3 ok\nRedis: o\\rk, 0 calls, 0 of them failed\n\n" +
				"STATE  CLUSTER\nok     \\x1b[2J\\u202eaws\nok     " + string(bytes.Repeat([]byte("x"), 47)) + "…\nok     日本\n",
		},
		"too many": {
			Page{},
			&Status{Clusters: map[string]Cluster{"aws": {}}, LeftOut: true},
			"http://admin at 0001-01-01T00:00:00Z: 1 cluster, 1 ok\nThere are more clusters than Weir keeps account of; some are left out.\n\nSTATE  CLUSTER\nok     aws\n",
		},
		"nothing yet": {
			Page{},
			&Status{Redis: &Redis{State: "off"}},
			"http://admin at 0001-01-01T00:00:00Z: no cluster yet: none has a policy, or the traffic listener has not started\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			test.page.Out = &b
			test.page.All("http://admin", test.status)
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDetails(t *testing.T) {
	s := example(t)
	for name, want := range map[string]string{
		"aws_pricing": `aws_pricing at http://admin, 2026-11-24T10:00:00Z: open: opened 12s ago by 5 failures in a row, the 2nd time; the next probe in 48s

mode             enforce
circuit breaker  open for 12s (5 failures in a row); failures in a row 0 of 5, successes of probes 0 of 3; opened 2 times, last at 2026-11-24T09:59:48Z; recovery timeout 1m
rate limit       token_bucket, scope mesh, 100.2 requests a minute, each key by itself, window 1m; 7 refused
requests         140 allowed, 7 rate limited, 24 circuit open, 0 bulkhead full
answers          135 from upstream, 20 cache, 3 stale cache, 1 default, 0 degraded, 12 error
retry            9 made, 5 requests ran out of them; budget for 3 more now
failover         4 requests went to aws_pricing_eu
`,
		"azure": `azure at http://admin, 2026-11-24T10:00:00Z: lowered: success rate 64%: the limit went down to 70 of 100 a minute

mode        enforce
rate limit  adaptive, scope proxy, 70 requests a minute of 100 configured, window 1m; 12 left; success rate 64%; 20 refused
bulkhead    3 of 10 places taken; 0 refused
requests    980 allowed, 20 rate limited, 0 circuit open, 0 bulkhead full
answers     980 from upstream, 0 cache, 0 stale cache, 0 default, 0 degraded, 20 error
`,
		"quotes": `quotes at http://admin, 2026-11-24T10:00:00Z: off: its policy is off: requests pass untouched

mode  off
`,
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			c := s.Clusters[name]
			Page{Out: &b}.One("http://admin", name, &c, s.Time)
			if diff := cmp.Diff(want, b.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
