package adminapi

import (
	"strconv"
	"time"

	"github.com/weir-mesh/weir/policy/jsontext"
)

// Time is milliseconds since 1970, UTC; in JSON it is RFC 3339: "2006-01-02T15:04:05.000Z". (A time.Time would add
// 30 KB to the module, for the layouts that it can format.)
type Time int64

// Time converts t.
func (t Time) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	w := jsontext.Writer{}
	w.String(t.rfc3339())
	return w.Text, nil
}

func (t Time) rfc3339() string {
	at := t.Time()
	year, month, day := at.Date()
	b := make([]byte, 0, len("2006-01-02T15:04:05.000Z"))
	for _, part := range [...]struct {
		before    byte
		n, digits int
	}{
		{0, year, 4},
		{'-', int(month), 2},
		{'-', day, 2},
		{'T', at.Hour(), 2},
		{':', at.Minute(), 2},
		{':', at.Second(), 2},
		{'.', at.Nanosecond() / 1e6, 3},
	} {
		if part.before != 0 {
			b = append(b, part.before)
		}
		digits := strconv.Itoa(part.n)
		for i := len(digits); i < part.digits; i++ {
			b = append(b, '0')
		}
		b = append(b, digits...)
	}
	return string(append(b, 'Z'))
}
