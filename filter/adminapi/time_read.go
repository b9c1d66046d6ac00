//go:build !wasip1

// The filter only writes the status. Without this file the Wasm module is 11 KB smaller.

package adminapi

import "time"

// UnmarshalJSON implements json.Unmarshaler. It takes any RFC 3339 time.
func (t *Time) UnmarshalJSON(b []byte) error {
	var at time.Time
	if err := at.UnmarshalJSON(b); err != nil {
		return err
	}
	*t = Time(at.UnixMilli())
	return nil
}
