package e2e

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// pageSource is the page's document as the module has it. Tests read it as a file, since no other module can import the filter's packages.
const pageSource = "../filter/internal/admin/page/index.html.gz"

// pageDocument is the document as it is served.
func pageDocument(t *testing.T) string {
	t.Helper()
	file, err := os.Open(pageSource)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	document, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

const pageContentType = "text/html; charset=utf-8"

// page is the live page as the admin listener serves it.
func (c *console) page() answer {
	c.t.Helper()
	return c.ask(http.MethodGet, "/", "")
}

// checkPage wants the document of the repository, with a Content-Security-Policy that lets only its own style and
// script run.
func checkPage(t *testing.T, got answer) {
	t.Helper()
	document := pageDocument(t)
	if got.err != nil || got.status != http.StatusOK || got.body != document {
		t.Errorf("GET /: got status %d, %v, %d bytes, want 200 and the %d bytes of %s", got.status, got.err, len(got.body), len(document), pageSource)
	}
	for name, want := range map[string]string{"content-security-policy": pagePolicyHeader(document), "content-type": pageContentType} {
		if value := got.header.Get(name); value != want {
			t.Errorf("GET /: got %s %q, want %q", name, value, want)
		}
	}
}

// pagePolicyHeader is the Content-Security-Policy for a document with one style and one script, named by their hashes
// (CSP Level 3, 2.3.1). The document loads nothing, talks to its own origin alone, and no text of it can become markup.
func pagePolicyHeader(document string) string {
	return "default-src 'none'; script-src '" + elementHash(document, "script") + "'; style-src '" + elementHash(document, "style") + "'; " +
		"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'"
}

// elementHash is the hash of the text between <tag> and </tag>.
func elementHash(document, tag string) string {
	_, rest, _ := strings.Cut(document, "<"+tag+">")
	text, _, _ := strings.Cut(rest, "</"+tag+">")
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
