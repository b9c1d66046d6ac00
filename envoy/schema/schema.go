// Package schema has the JSON Schema of the policy document, for editors.
package schema

import _ "embed"

// Policy is the schema of a policy document. `go test ./envoy/schema -update` writes it.
//
//go:embed policy.schema.json
var Policy []byte
