package bridge

import "testing"

// leaseCall is a command as the filter sends it: a script's digest, one key, and a lease's numbers.
const leaseCall = `["EVALSHA","e0e1f9fabfc9d4800c877a703b823ac0578ff8db","1","weir:{aws_pricing}","f3a9c1d2-proxy","1764282000123","500","12","100","60000","0"]`

func BenchmarkDecodeCommand(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeCommand([]byte(leaseCall)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeReply(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		marshal(encoder{}.outcome([]any{int64(12), int64(500), "ok", []any{int64(3), "1764282000123"}}))
	}
}
