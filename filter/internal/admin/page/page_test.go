package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
	"github.com/tdewolff/minify/v2/html"
	"github.com/tdewolff/minify/v2/js"
)

var update = flag.Bool("update", false, "write index.html.gz and the hashes of page.go")

// HTML is the document as it is written.
//
//go:embed index.html
var HTML []byte

// shipped is the document without comments, white space and long names.
func shipped(t *testing.T) []byte {
	t.Helper()
	m := minify.New()
	m.Add("text/html", &html.Minifier{KeepDocumentTags: true, KeepEndTags: true, KeepQuotes: true, KeepDefaultAttrVals: true})
	m.AddFunc("text/css", css.Minify)
	m.AddFunc("application/javascript", js.Minify)
	short, err := m.Bytes("text/html", HTML)
	if err != nil || len(short) == 0 {
		t.Fatalf("index.html: %v", err)
	}
	return short
}

func TestGzipIsTheDocument(t *testing.T) {
	document := shipped(t)
	if *update {
		var compressed bytes.Buffer
		w, _ := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
		if _, err := w.Write(document); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("index.html.gz", compressed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile("page.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{"style", "script"} {
			source = regexp.MustCompile(tag+`Hash( *)= "[^"]*"`).ReplaceAll(source, []byte(tag+`Hash$1= "`+hash(t, tag)+`"`))
		}
		if err := os.WriteFile("page.go", source, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	r, err := gzip.NewReader(strings.NewReader(Gzip))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, document) {
		t.Errorf("index.html.gz is not index.html (%v); write it by: go test ./filter/internal/admin/page -update", err)
	}
}

// between is the text in the only element <tag>.
func between(t *testing.T, tag string) []byte {
	t.Helper()
	document := shipped(t)
	if n := bytes.Count(document, []byte("<"+tag)); n != 1 {
		t.Fatalf("got %d elements %s, want 1, as the policy has one hash", n, tag)
	}
	_, rest, _ := bytes.Cut(document, []byte("<"+tag+">"))
	text, _, found := bytes.Cut(rest, []byte("</"+tag+">"))
	if !found || len(text) == 0 {
		t.Fatalf("got no text between <%s> and </%s>, want some", tag, tag)
	}
	return text
}

// hash is that of the text in the only element <tag>, as a policy names it.
func hash(t *testing.T, tag string) string {
	sum := sha256.Sum256(between(t, tag))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestPolicyHasTheHashes(t *testing.T) {
	if *update {
		return // they were just written
	}
	for _, c := range []struct{ tag, hash string }{{"style", styleHash}, {"script", scriptHash}} {
		if want := hash(t, c.tag); c.hash != want {
			t.Errorf("page.go: got %sHash %q, want\n%q; write it by: go test ./filter/internal/admin/page -update", c.tag, c.hash, want)
		}
	}
}

func TestDocumentIsSmall(t *testing.T) {
	if most := 64_000; len(HTML) == 0 || len(HTML) >= most {
		t.Errorf("got %d bytes, want less than %d", len(HTML), most)
	}
}

// TestNoExternalResources: nothing that the browser would refuse by the policy, and nothing that the policy misses.
func TestNoExternalResources(t *testing.T) {
	namespace := []byte("http://www.w3.org/2000/svg")
	document := bytes.ReplaceAll(HTML, namespace, nil)
	for what, pattern := range map[string]string{
		"an external address":      `(?i)(https?:)?//[a-z0-9-]+\.[a-z]`,
		"a resource":               `(?i)<(img|iframe|object|embed|audio|video|base)\b|\bsrc\s*=|@import|url\(`,
		"an inline style":          `(?i)<[a-z][^>]*\sstyle\s*=|"style"\s*[,:]`,
		"an inline handler":        `(?i)<[a-z][^>]*\son[a-z]+\s*=`,
		"text as markup or code":   `innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function`,
		"an address from the root": `(?i)(href|fetch\()\s*=?\s*["'\x60]/`,
	} {
		if found := regexp.MustCompile(pattern).Find(document); found != nil {
			t.Errorf("got %s: %s, want none", what, found)
		}
	}
}

func TestPolicyIsStrict(t *testing.T) {
	directives := map[string]string{}
	for directive := range strings.SplitSeq(CSP, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		directives[name] = value
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
		"frame-ancestors": "'none'", "script-src": "'" + scriptHash + "'", "style-src": "'" + styleHash + "'",
	} {
		if got := directives[name]; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, loose := range []string{"unsafe", "*", "http:", "https:", "nonce"} {
		if strings.Contains(CSP, loose) {
			t.Errorf("got policy %s, want none with %s", CSP, loose)
		}
	}
}
