package directory

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

const second = int64(Every)

func entry(cluster string, most int) Entry {
	return Entry{Cluster: cluster, Policy: policy.Policy{Bulkhead: &policy.Bulkhead{MaxConcurrent: most}}}
}

func beat(t *testing.T, d *Document, now int64) (gone string) {
	t.Helper()
	clusters, err := d.Beat(now)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range clusters {
		names = append(names, e.Cluster)
	}
	return strings.Join(names, " ")
}

// listed is what an admin sees: each cluster and the limit of its bulkhead.
func listed(t *testing.T, s sharedstate.Store, now int64) string {
	t.Helper()
	l, err := Read(s, now)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range l.Entries {
		all = append(all, fmt.Sprintf("%s:%d", e.Cluster, e.Policy.Bulkhead.MaxConcurrent))
	}
	slices.Sort(all)
	if l.LeftOut {
		all = append(all, "...")
	}
	return strings.Join(all, " ")
}

func TestClustersComeAndGo(t *testing.T) {
	s := sharedstate.NewMemory()
	now := 100 * second
	one, two := NewDocument(s, 11, false), NewDocument(s, 11, false) // two workers of one document
	for _, d := range []*Document{one, two} {
		d.Add(entry("aws", 1))
		d.Add(entry("gcp", 2))
		beat(t, d, now)
	}
	if got := listed(t, s, now); got != "aws:1 gcp:2" {
		t.Fatalf("at the start: %s", got)
	}
	two.Add(entry("azure", 3)) // by a pattern, when it is first used
	beat(t, two, now)
	if got := listed(t, s, now); got != "aws:1 azure:3 gcp:2" {
		t.Fatalf("a cluster more: %s", got)
	}

	// A reload: the old document's last beat is 1 s after the new one's first.
	now += 10 * second
	beat(t, one, now)
	next := NewDocument(s, 12, true)
	next.Add(entry("aws", 10))
	next.Add(entry("new", 4))
	beat(t, next, now)
	beat(t, one, now+second)
	if got := listed(t, s, now+second); got != "aws:10 azure:3 gcp:2 new:4" {
		t.Fatalf("both documents live, the newest one's word counts: %s", got)
	}
	for i := int64(2); i <= 5; i++ {
		if gone := beat(t, next, now+i*second); gone != "" {
			t.Fatalf("%s is gone too early", gone)
		}
	}
	now += 7 * second
	if got := listed(t, s, now); got != "aws:10 new:4" {
		t.Fatalf("an admin sees nothing more of the old one: %s", got)
	}
	if gone := beat(t, next, now); gone != "gcp azure" && gone != "azure gcp" {
		t.Fatalf("gone: %q", gone)
	}
	if gone := beat(t, next, now+second); gone != "" {
		t.Fatalf("gone again: %q", gone)
	}
	// The old document's worker had only stalled.
	if gone := beat(t, one, now+second); gone != "" {
		t.Fatalf("gone: %q", gone)
	}
	if got := listed(t, s, now+second); got != "aws:1 gcp:2 new:4" {
		t.Fatalf("it is back, as the newest: %s", got)
	}
}

func TestRedisIsADocumentsMatter(t *testing.T) {
	s := sharedstate.NewMemory()
	beat(t, NewDocument(s, 1, true), second)
	beat(t, NewDocument(s, 2, false), second)
	for _, tc := range []struct {
		now  int64
		want bool
	}{{second, true}, {20 * second, false}} {
		if l, err := Read(s, tc.now); err != nil || l.Redis != tc.want {
			t.Errorf("at %d: %+v (%v)", tc.now, l, err)
		}
	}
}

func TestOneBeatOfManyIsStored(t *testing.T) {
	s := &counting{Memory: sharedstate.NewMemory()}
	var workers []*Document
	for range 8 {
		workers = append(workers, NewDocument(s, 5, false))
		beat(t, workers[len(workers)-1], 100*second)
	}
	s.sets = 0
	for i := int64(1); i <= 10; i++ {
		for _, w := range workers {
			beat(t, w, (100+i)*second)
		}
	}
	if s.sets != 10 {
		t.Errorf("8 workers stored %d times in 10 s", s.sets)
	}
}

type counting struct {
	*sharedstate.Memory
	sets int
}

func (c *counting) Set(key string, value []byte, cas uint32) error {
	c.sets++
	return c.Memory.Set(key, value, cas)
}

func TestBounds(t *testing.T) {
	s := sharedstate.NewMemory()
	now := 100 * second
	big := NewDocument(s, 1, false)
	for i := range 20_000 {
		big.Add(entry(fmt.Sprintf("cluster-%05d", i), 1))
	}
	beat(t, big, now)
	l, err := Read(s, now)
	if err != nil || !l.LeftOut || len(l.Entries) < 10_000 {
		t.Fatalf("%d clusters, left out %v (%v)", len(l.Entries), l.LeftOut, err)
	}
	if value, _, err := s.Get(listKey(0)); err != nil || len(value) > MaxBytes {
		t.Fatalf("%d bytes (%v)", len(value), err)
	}
	var documents []*Document
	for i := range 40 {
		d := NewDocument(s, uint64(100+i), false)
		d.Add(entry(fmt.Sprintf("c%d", i), i))
		documents = append(documents, d)
		beat(t, d, now+int64(i))
	}
	if n := s.Len(); n != 1+MaxDocuments {
		t.Errorf("%d keys", n)
	}
	if got := strings.Fields(listed(t, s, now)); len(got) != MaxDocuments {
		t.Errorf("%d documents are told of: %s", len(got), got)
	}
	if value, _, err := s.Get(rowsKey); err != nil || len(value) != rowsSize || rowsSize != 392 {
		t.Errorf("%d bytes of rows (%v)", len(value), err)
	}
	beat(t, documents[0], now+second) // its row was taken: it takes another one
	if got := listed(t, s, now+second); !strings.Contains(got, "c0:0") {
		t.Errorf("a document does not come back: %s", got)
	}
}

func TestForeignBytesAreNothing(t *testing.T) {
	s := sharedstate.NewMemory()
	for _, key := range []string{rowsKey, listKey(0)} {
		if err := s.Set(key, []byte("stranger"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := listed(t, s, second); got != "" {
		t.Fatal(got)
	}
	d := NewDocument(s, 1, false)
	d.Add(entry("a", 1))
	beat(t, d, second)
	if got := listed(t, s, second); got != "a:1" {
		t.Fatal(got)
	}
	// A clock that begins anew: what was written by the one before is of no one.
	if err := s.Set(rowsKey, (&rows{rows: [MaxDocuments]row{{document: 1, claim: 1, beat: 1 << 50}}}).AppendTo(nil), 0); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, s, second); got != "" {
		t.Fatal(got)
	}
}

// TestWorkersAtOnce: whatever the workers' turns, each cluster that one of them published is there.
func TestWorkersAtOnce(t *testing.T) {
	s := sharedstate.NewMemory()
	now := 100 * second
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			d := NewDocument(s, uint64(w%2)+1, false)
			for i := range 20 {
				d.Add(entry(fmt.Sprintf("d%d-%d", w%2, (w*7+i)%30), w%2))
				if _, err := d.Beat(now + int64(i)*second/4); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want := map[string]bool{}
	for w := range 6 {
		for i := range 20 {
			want[fmt.Sprintf("d%d-%d", w%2, (w*7+i)%30)] = true
		}
	}
	l, err := Read(s, now+5*second)
	if err != nil || len(l.Entries) != len(want) {
		t.Fatalf("%d clusters, want %d (%v)", len(l.Entries), len(want), err)
	}
	for _, e := range l.Entries {
		if !want[e.Cluster] || l.Find(e.Cluster).Cluster != e.Cluster {
			t.Errorf("%q", e.Cluster)
		}
	}
}

// TestAPlaceThatChangedHands: who finds a document silent, or still believes in its own row, leaves alone what another
// document has in that place by now; and what is left there of an earlier one is nobody's.
func TestAPlaceThatChangedHands(t *testing.T) {
	s := sharedstate.NewMemory()
	old, next := NewDocument(s, 1, false), NewDocument(s, 2, false)
	old.Add(entry("old", 1))
	beat(t, old, 100*second)
	claim := old.claim
	next.Add(entry("next", 2))
	beat(t, next, 200*second)
	if old.slot != next.slot {
		t.Fatalf("places %d and %d", old.slot, next.slot)
	}
	if gone, err := old.empty(old.slot, claim); err != nil || len(gone) != 0 {
		t.Errorf("gone: %v (%v)", gone, err)
	}
	old.Add(entry("late", 3))
	if err := old.show(); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, s, 200*second); got != "next:2" {
		t.Fatalf("listed: %s", got)
	}
	var documents rows
	_, err := sharedstate.NewCell(s, rowsKey, &documents).Update(func() bool {
		documents.rows[next.slot].claim++ // a third document has the row, and has not published yet
		return true
	})
	if got := listed(t, s, 200*second); err != nil || got != "" {
		t.Errorf("listed: %s (%v)", got, err)
	}
}

// TestRowsThatWereLost: a document is told of again, and nobody's clusters beside its own, if the record of all documents is
// lost and what they published is not.
func TestRowsThatWereLost(t *testing.T) {
	s := sharedstate.NewMemory()
	now := 100 * second
	var documents []*Document
	for i := range 3 {
		d := NewDocument(s, uint64(1+i), false)
		d.Add(entry(fmt.Sprintf("c%d", i), i))
		beat(t, d, now)
		documents = append(documents, d)
	}
	_, cas, err := s.Get(rowsKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(rowsKey, []byte("a stranger's"), cas); err != nil {
		t.Fatal(err)
	}
	for i := range int64(2) {
		now += second
		for _, d := range []*Document{documents[2], documents[0]} { // in another order, and one less, than at first
			beat(t, d, now)
		}
		if got := listed(t, s, now); got != "c0:0 c2:2" {
			t.Errorf("%d s after: %q", i+1, got)
		}
	}
}

// TestSmallClustersBeyondTheBound: what finds no room is told of, however little each takes.
func TestSmallClustersBeyondTheBound(t *testing.T) {
	for _, tc := range []struct {
		clusters int
		leftOut  bool
	}{{20_000, false}, {25_000, true}} {
		s := sharedstate.NewMemory()
		d := NewDocument(s, 1, false)
		for i := range tc.clusters {
			d.Add(Entry{Cluster: fmt.Sprintf("c%05d", i)}) // 11 bytes: see the packed forms
		}
		beat(t, d, second)
		l, err := Read(s, second)
		if err != nil || l.LeftOut != tc.leftOut || (len(l.Entries) != tc.clusters) != tc.leftOut {
			t.Errorf("%d clusters: %d are listed, left out %v (%v)", tc.clusters, len(l.Entries), l.LeftOut, err)
		}
	}
}
