// Package page is the live page of the admin listener: one HTML document with its style and its script in it. It loads
// nothing, asks GET status every second, and posts to reset, breaker and cache/invalidate, all relative to its own
// address, so that it also works behind a path prefix (whose last character has to be a slash).
package page

import _ "embed"

// HTML is the document, UTF-8. Nobody changes its bytes.
//
//go:embed index.html
var HTML []byte

// ContentType is the document's media type.
const ContentType = "text/html; charset=utf-8"

// CSP is the Content-Security-Policy that the document is answered with: its one style and its one script, known by
// their hashes (CSP Level 3, 2.3.1), may run and talk to where they came from, and nothing else may. No text can become
// markup, since no trusted type may be made (https://w3c.github.io/trusted-types/). The icon is a data: URL.
const CSP = "default-src 'none'; script-src '" + scriptHash + "'; style-src '" + styleHash + "'; connect-src 'self'; " +
	"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// The hashes of what stands between <style> and </style>, <script> and </script>. The module needs no SHA-256 of its
// own for them; a test says what they have to be.
const (
	styleHash  = "sha256-2nx4O38OonGZuvv7VvFy3nJJdcDPy0T6fjN1Xj6HxZo="
	scriptHash = "sha256-aenzyVRO5GNn4b7C+T50mAWpjDayy4n5fz15VIKq0S0="
)
