// Package page is the live page of the admin listener: one HTML document with its style and its script. It gets
// status every second, and posts to reset, breaker and cache/invalidate. All addresses are relative, so that the page
// also works behind a path prefix that ends with a slash. It loads nothing else.
//
// The module has it minified and compressed, 17 KB instead of 63. After a change of index.html: go test ./filter/internal/admin/page -update
package page

import _ "embed"

// Gzip is the document, UTF-8, compressed (RFC 1952). It is a string, since TinyGo's collector would scan a slice of bytes.
//
//go:embed index.html.gz
var Gzip string

// ContentType is the document's media type.
const ContentType = "text/html; charset=utf-8"

// CSP is the document's Content-Security-Policy. It lets only the document's own style and script run, by their
// hashes (CSP Level 3, 2.3.1), and connect only to their origin. The script cannot turn text into markup, since it
// must not make trusted types (https://w3c.github.io/trusted-types/). The icon is a data: URL.
const CSP = "default-src 'none'; script-src '" + scriptHash + "'; style-src '" + styleHash + "'; connect-src 'self'; " +
	"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// The hashes of the text in <style> and <script>. They are constants so that the module needs no SHA-256; a test
// compares them with the document.
const (
	styleHash  = "sha256-D+nri1MD54sSWMGOSh0CvaeSL84E0mm/a9msVlLtjuE="
	scriptHash = "sha256-jngcP6XC4XqWEzYjHn7XxEi4SHxUQfOMHUh393PA5no="
)
