package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"testing"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// leaveWithin reads so many bytes of an answer's body and closes the connection.
func (w *weir) leaveWithin(cluster, path string, n int) {
	w.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(w.request(w.t.Context(), "GET", cluster, path))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.ReadFull(response.Body, make([]byte, n)); err != nil {
		w.t.Fatal(err)
	}
}

// longThenNothing is headersThenNothing of an answer of 60 KB.
func longThenNothing(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("content-length", "60000")
	if _, err := io.WriteString(rw, "beginning"); err != nil {
		return
	}
	if err := http.NewResponseController(rw).Flush(); err != nil {
		return
	}
	<-r.Context().Done()
}

// gzipped is a text as gzip packs it.
func gzipped(text string) []byte {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write([]byte(text)) // into memory
	_ = zip.Close()
	return packed.Bytes()
}

func gzipIfAccepted(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("vary", "Accept-Encoding")
	if r.Header.Get("accept-encoding") != "gzip" {
		_, _ = io.WriteString(rw, "plain")
		return
	}
	rw.Header().Set("content-encoding", "gzip")
	_, _ = rw.Write(gzipped("packed"))
}

func withTrailers(rw http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(rw, "with trailers")
	rw.Header().Set(http.TrailerPrefix+"x-checksum", "1")
}

func boundedUpstream(t *testing.T) *upstream.Upstream {
	answers := map[string]upstream.Behaviour{}
	for _, c := range boundCases() {
		answers[c.path] = c.behaves
	}
	return answering(t, answers)
}
