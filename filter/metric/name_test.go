package metric

import "testing"

func TestName(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{Name("weir_faults_total"), "weir_faults_total"},
		{Of("weir_retries_total", "aws"), "weir_retries_total_cluster_=aws;"},
		{Of("weir_requests_total", "a;b", [2]string{"decision", "allowed"}), "weir_requests_total_cluster_=a_b;_decision_=allowed;"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}
