package bench

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	turns := func(micros ...int) []turn {
		var all []turn
		for _, m := range micros {
			all = append(all, turn{requests: 1000, cpu: time.Duration(m) * time.Millisecond, took: time.Second, p50: 2 * time.Millisecond, p99: 3 * time.Millisecond, memoryKiB: 2048})
		}
		return all
	}
	var text strings.Builder
	err := writeTable(&text, []result{
		{noFilter, turns(21, 20, 90)},
		{emptyFilter, turns(25, 24, 26)},
		{"Weir", turns(30, 30, 29)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(text.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	for i, want := range []string{
		1: "21.00 20.00 90.00 +0.00 -4.00 0.840 2.00 3.00 1000 2 no filter",
		2: "25.00 24.00 26.00 +4.00 +0.00 1.000 2.00 3.00 1000 2 empty Go filter",
		3: "30.00 29.00 30.00 +9.00 +5.00 1.200 2.00 3.00 1000 2 Weir",
	} {
		if i > 0 && got[i] != want {
			t.Errorf("line %d: got %q, want %q", i, got[i], want)
		}
	}
}

func TestMemory(t *testing.T) {
	kib, err := memoryKiB(os.Getpid())
	if err != nil || kib < 1024 {
		t.Errorf("got %d KiB, %v, want more than 1 MiB for a Go program", kib, err)
	}
}

func TestMachineTime(t *testing.T) {
	all, stolen, err := MachineTime()
	if err != nil || all <= 0 || stolen < 0 || stolen > all {
		t.Errorf("got %d ticks, %d of them stolen, %v, want some ticks", all, stolen, err)
	}
}

func TestPublishingTable(t *testing.T) {
	var text strings.Builder
	err := writePublishing(&text, []publishingLine{
		{10, 2 * time.Second, timed{counted: 3 * time.Millisecond, told: 200 * time.Microsecond, requests: 10_000, times: 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(text.String(), "\n")[1]
	if got, want := strings.Join(strings.Fields(line), " "), "10 5000 300 50.0 20 320 0.64"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
