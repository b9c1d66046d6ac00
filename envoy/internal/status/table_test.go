package status

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// example is a status as the admin listener sends it, of four clusters.
func example(t *testing.T) *adminapi.Status {
	t.Helper()
	raw, err := os.ReadFile("testdata/status.json")
	if err != nil {
		t.Fatal(err)
	}
	var s adminapi.Status
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestTable(t *testing.T) {
	for name, test := range map[string]struct {
		printer Printer
		status  *adminapi.Status
		want    string
	}{
		"plain": {
			Printer{},
			example(t),
			`http://admin at 2026-11-24T10:00:00Z, Weir 0.2.0 in edge-1, Envoy 1.40.0, since 2026-11-24T08:00:00Z: 4 clusters, 1 open, 1 lowered, 1 ok, 1 off
Redis: trouble, 120 calls, 4 of them failed
MOVED for the limit of aws_pricing: MOVED 7 10.0.0.1:6379; ask the whole cluster.

STATE    CLUSTER      SUCCESS          LIMIT  LEFT  IN FLIGHT  ALLOWED  NOT ADMITTED  FALLBACK  RETRIES  FAILED OVER  WHY
open     aws_pricing    91.4%    1.67/s each                       140            31        24        9            4  opened 12s ago by 5 failures in a row, the 2nd time; the next probe in 48s
lowered  azure                 70 of 100/min    12       3/10      980            20         0                        success rate 64%: the limit went down to 70 of 100/min
ok       healthy                     100/min    41                 310             0         0
off      quotes                                                                                                       its policy is off: requests pass unchanged

Last changes of circuit breakers:
  2026-11-24T09:59:48Z aws_pricing closed -> open (consecutive_failures, status 503)
`,
		},
		"in colour": {
			Printer{Color: true},
			&adminapi.Status{Clusters: map[string]adminapi.Cluster{"aws": {Breaker: &adminapi.Breaker{State: "half_open", SuccessThreshold: 3}}}, Redis: &adminapi.Redis{State: "trouble", LastError: &adminapi.RedisError{Name: "OOM", Message: "OOM \x1b[2Jx", Advice: "raise maxmemory"}}},
			"\x1b[1mhttp://admin\x1b[0m at 1970-01-01T00:00:00Z: 1 cluster, 1 half-open\n" +
				"Redis: \x1b[31mtrouble\x1b[0m, 0 calls, 0 of them failed\n" +
				"\x1b[31mOOM: OOM \\x1b[2Jx; raise maxmemory.\x1b[0m\n\n" +
				"\x1b[2mSTATE      CLUSTER  WHY\x1b[0m\n\x1b[33mhalf-open\x1b[0m  aws      probing: 0 of 3 successes that close it\n",
		},
		"hostile names": {
			Printer{},
			&adminapi.Status{Clusters: map[string]adminapi.Cluster{"\x1b[2J\u202eaws": {}, "\u65e5\u672c": {}, string(bytes.Repeat([]byte("x"), 60)): {}}, Redis: &adminapi.Redis{State: "o\rk"}},
			"http://admin at 1970-01-01T00:00:00Z: 3 clusters, 3 ok\nRedis: o\\rk, 0 calls, 0 of them failed\n\n" +
				"STATE  CLUSTER\nok     \\x1b[2J\\u202eaws\nok     " + string(bytes.Repeat([]byte("x"), 47)) + "…\nok     日本\n",
		},
		"too many": {
			Printer{},
			&adminapi.Status{Clusters: map[string]adminapi.Cluster{"aws": {}}, LeftOut: true},
			"http://admin at 1970-01-01T00:00:00Z: 1 cluster, 1 ok\nWeir has more clusters than it can list; some are left out. They work all the same.\n\nSTATE  CLUSTER\nok     aws\n",
		},
		"misrouted": {
			Printer{},
			&adminapi.Status{
				Clusters:  map[string]adminapi.Cluster{"aws": {}},
				Misrouted: &adminapi.Misrouted{Cluster: "fr\x1bee", To: "gold", At: 1000, Total: 12},
			},
			"http://admin at 1970-01-01T00:00:00Z: 1 cluster, 1 ok\n12 seen requests went to gold, decided by the policy of fr\\x1bee (the last at 1970-01-01T00:00:01Z): " +
				"another filter changed their route. Put a CORS filter right before Weir, and that filter before it, as `weir render envoy` does (resolve_route).\n\n" +
				"STATE  CLUSTER\nok     aws\n",
		},
		"a policy that is not there": {
			Printer{},
			&adminapi.Status{
				Clusters: map[string]adminapi.Cluster{"aws": {}, "aws@gold": {Policy: "gold"}},
				Missing:  &adminapi.Missing{Cluster: "aws", Policy: "gol\x1bd", At: 1000, Total: 2},
			},
			"http://admin at 1970-01-01T00:00:00Z: 2 clusters, 2 ok\n2 requests to aws got the cluster's own policy, since the policy gol\\x1bd that their route or " +
				"the cluster names is not there (the last at 1970-01-01T00:00:01Z): add it to policies, or correct the metadata weir.policy.\n\n" +
				"STATE  CLUSTER\nok     aws\nok     aws@gold\n",
		},
		"a refused policy": {
			Printer{},
			&adminapi.Status{
				Clusters: map[string]adminapi.Cluster{"aws": {}},
				Refused:  &adminapi.Refused{At: 1000, Reasons: []string{"clusters.a: b", "clusters.\x1b[2J: c"}},
			},
			"http://admin at 1970-01-01T00:00:00Z: 1 cluster, 1 ok\nA policy was refused at 1970-01-01T00:00:01Z, and the one before stays in force. " +
				"This is shown until a new one starts.\n  clusters.a: b\n  clusters.\\x1b[2J: c\n\nSTATE  CLUSTER\nok     aws\n",
		},
		"nothing yet": {
			Printer{},
			&adminapi.Status{Redis: &adminapi.Redis{State: "off"}},
			"http://admin at 1970-01-01T00:00:00Z: no clusters: no cluster has a policy, or the listeners with Weir's filter have not started yet\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			test.printer.Out = &b
			test.printer.Status("http://admin", test.status)
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Errorf("got (+), want (-):\n%s", diff)
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
rate limit       token_bucket, scope mesh, 1.67/s with bursts of 100 for each key; 7 not admitted
without Redis    for 12s: on_error is local, so each of 4 proxies admits 0.418/s with bursts of 25 for each key by itself
requests         140 allowed, 7 rate limited, 24 circuit open, 0 bulkhead full
answers          135 from upstream, 20 cache, 3 stale cache, 1 default, 0 degraded, 12 error
success rate     91.4%; 12 of the admitted requests failed
kept answers     12 of 256, 34.1 KB; 23 hits, 12 misses
not kept         12 set cookie, 3 private
not used         12 nothing kept
retry            9 made, 5 requests failed after their last retry; the budget admits 3 more now
not carried      7 metadata (note them there too); 2 grpc (driver: envoy)
failover         4 requests went to aws_pricing_eu
transitions      2026-11-24T09:59:48Z closed -> open (consecutive_failures, status 503)
`,
		"azure": `azure at http://admin, 2026-11-24T10:00:00Z: lowered: success rate 64%: the limit went down to 70 of 100/min

mode        enforce
rate limit  adaptive, scope proxy, 70 of 100/min; 12 left; success rate 64%; 20 not admitted
bulkhead    3 of 10 requests in flight; 0 not admitted
requests    980 allowed, 20 rate limited, 0 circuit open, 0 bulkhead full
answers     980 from upstream, 0 cache, 0 stale cache, 0 default, 0 degraded, 20 error
`,
		"quotes": `quotes at http://admin, 2026-11-24T10:00:00Z: off: its policy is off: requests pass unchanged

mode  off
`,
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			c := s.Clusters[name]
			Printer{Out: &b}.Cluster("http://admin", name, &c, s.Time.Time())
			if diff := cmp.Diff(want, b.String()); diff != "" {
				t.Errorf("got (+), want (-):\n%s", diff)
			}
		})
	}
}
