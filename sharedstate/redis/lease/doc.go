// Package lease leases tokens.
package lease
