package plugin

import (
	"testing"

	"github.com/weir-mesh/weir/filter/internal/admin"
	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

// TestRepeatedBrowserHeadersAreNotTrusted: no value of a repeated header is trusted, whatever the order.
func TestRepeatedBrowserHeadersAreNotTrusted(t *testing.T) {
	const page, evil = "http://127.0.0.1:9902", "http://evil.example"
	for _, tc := range []struct {
		headers [][2]string
		want    admin.Request
	}{
		{[][2]string{{"origin", page}, {"sec-fetch-site", "none"}}, admin.Request{Origin: page, FetchSite: "none"}},
		{[][2]string{{"origin", evil}, {"origin", page}}, admin.Request{Origin: repeated}},
		{[][2]string{{"origin", page}, {"origin", evil}}, admin.Request{Origin: repeated}},
		{[][2]string{{"origin", page}, {"origin", page}, {"origin", ""}}, admin.Request{Origin: repeated}},
		{[][2]string{{"sec-fetch-site", "cross-site"}, {"sec-fetch-site", "none"}}, admin.Request{FetchSite: repeated}},
		{[][2]string{{"sec-fetch-site", "none"}, {"sec-fetch-site", "same-site"}}, admin.Request{FetchSite: repeated}},
	} {
		if got := adminRequest(pairs.Pack(tc.headers), false); *got != tc.want {
			t.Errorf("%q: got %+v, want %+v", tc.headers, *got, tc.want)
		}
	}
}
