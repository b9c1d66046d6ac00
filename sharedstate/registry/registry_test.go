package registry

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

const second = int64(sharedstate.HeartbeatEvery)

func entry(cluster string, most int) Entry {
	return Entry{Cluster: cluster, Policy: policy.Policy{Bulkhead: &policy.Bulkhead{MaxConcurrent: most}}}
}

func heartbeat(t *testing.T, p *Publisher, now int64) (gone string) {
	t.Helper()
	clusters, err := p.Heartbeat(now)
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

// TestPolicyOff: the gauges of a cluster whose policy is off now are retired, unless another document's still acts.
func TestPolicyOff(t *testing.T) {
	for _, other := range []bool{false, true} {
		s, now := sharedstate.NewMemory(), 100*second
		old := NewPublisher(s, 11, false)
		old.Add(entry("aws", 1))
		heartbeat(t, old, now)
		now += 10 * second
		documents, want := []*Publisher{NewPublisher(s, 13, false)}, "aws"
		documents[0].Add(Entry{Cluster: "aws", Policy: policy.Policy{Mode: policy.ModeOff}})
		if other {
			second := NewPublisher(s, 12, false)
			second.Add(entry("aws", 2))
			documents, want = append([]*Publisher{second}, documents...), ""
		}
		gone := ""
		for _, d := range slices.Concat(documents, documents) {
			gone += heartbeat(t, d, now)
		}
		if gone != want {
			t.Errorf("another document: %t: got %q gone, want %q", other, gone, want)
		}
	}
}

// TestTwoModules: an older module with the same document, whose list has another form, leaves the list as it is, and how calls to Redis end.
func TestTwoModules(t *testing.T) {
	s, now := sharedstate.NewMemory(), 100*second
	p := NewPublisher(s, 11, false)
	p.Add(entry("aws", 1))
	heartbeat(t, p, now)
	older := (&clusterList{claim: p.claim}).AppendTo(nil)
	older[0] = 2
	if err := s.Set(documentsKey+"/0", older, 0); err != nil { // where version 2 had it
		t.Fatal(err)
	}
	if got := listed(t, s, now); got != "aws:1" {
		t.Errorf("got %q listed, want aws:1", got)
	}
	if err := (CallsSince{Failed: &RedisFailure{Kind: 5}}).Publish(s, now); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(documentsKey+"/redis-calls", make([]byte, 22), 0); err != nil { // version 2's
		t.Fatal(err)
	}
	if calls, err := ReadRedisCalls(s); err != nil || !calls.Failing() {
		t.Errorf("got calls to Redis %+v, %v, want them to fail", calls, err)
	}
}

func TestClustersComeAndGo(t *testing.T) {
	s := sharedstate.NewMemory()
	now := 100 * second
	one, two := NewPublisher(s, 11, false), NewPublisher(s, 11, false) // two workers of one document
	for _, d := range []*Publisher{one, two} {
		d.Add(entry("aws", 1))
		d.Add(entry("gcp", 2))
		heartbeat(t, d, now)
	}
	if got := listed(t, s, now); got != "aws:1 gcp:2" {
		t.Fatalf("at the start: got %s, want aws:1 gcp:2", got)
	}
	two.Add(entry("azure", 3)) // a pattern's cluster, at its first request
	heartbeat(t, two, now)
	if got := listed(t, s, now); got != "aws:1 azure:3 gcp:2" {
		t.Fatalf("one cluster more: got %s, want aws:1 azure:3 gcp:2", got)
	}

	// A reload: the old document's last heartbeat is 1 s after the new one's first.
	now += 10 * second
	heartbeat(t, one, now)
	next := NewPublisher(s, 12, true)
	next.Add(entry("aws", 10))
	next.Add(entry("new", 4))
	heartbeat(t, next, now)
	heartbeat(t, one, now+second)
	if got := listed(t, s, now+second); got != "aws:10 azure:3 gcp:2 new:4" {
		t.Fatalf("both documents are alive: got %s, want the newest one's aws:10 beside azure:3 gcp:2 new:4", got)
	}
	for i := int64(2); i <= 5; i++ {
		if gone := heartbeat(t, next, now+i*second); gone != "" {
			t.Fatalf("after %d s: got %q gone, want none", i, gone)
		}
	}
	now += 7 * second
	if got := listed(t, s, now); got != "aws:10 new:4" {
		t.Fatalf("after the old document: got %s, want aws:10 new:4", got)
	}
	if gone := heartbeat(t, next, now); gone != "gcp azure" && gone != "azure gcp" {
		t.Fatalf("got %q gone, want gcp and azure", gone)
	}
	if gone := heartbeat(t, next, now+second); gone != "" {
		t.Fatalf("a second time: got %q gone, want none", gone)
	}
	// The old document's worker had only stalled.
	if gone := heartbeat(t, one, now+second); gone != "" {
		t.Fatalf("got %q gone, want none", gone)
	}
	if got := listed(t, s, now+second); got != "aws:1 gcp:2 new:4" {
		t.Fatalf("the old document is back: got %s, want aws:1 gcp:2 new:4", got)
	}
}

// TestNews: a document's first worker brings news, its other workers and a worker that starts again do not, and one that
// comes back does.
func TestNews(t *testing.T) {
	s := sharedstate.NewMemory()
	publishers := map[string]*Publisher{}
	for _, step := range []struct {
		at   int64 // in seconds
		who  string
		id   uint64
		want bool
		load bool // Envoy loaded the document again, see Renew
	}{
		{100, "one", 11, true, false},
		{100, "two", 11, false, false},
		{101, "one", 11, false, false},
		{101, "two again", 11, false, false}, // after a crash
		{102, "next", 12, true, true},
		{102, "next's other", 12, false, true},
		{102, "one", 11, false, false}, // which ends its last streams
		{102, "two again 2", 11, false, false},
		{103, "back", 11, true, true}, // comes back meanwhile
		{103, "back's other", 11, false, true},
		{104, "next", 12, false, false},
		{105, "back", 11, false, false},
		{110, "third", 13, true, true},
		{120, "back again", 11, true, true}, // all were silent
		{121, "back again", 11, false, false},
	} {
		p := publishers[step.who]
		if p == nil {
			p = NewPublisher(s, step.id, false)
			publishers[step.who] = p
			if step.load {
				p.Renew()
			}
		}
		heartbeat(t, p, step.at*second)
		if got := p.News(); got != step.want {
			t.Errorf("at %d, %s with %d: News() = %v, want %v", step.at, step.who, step.id, got, step.want)
		}
	}
}

func TestListingRedis(t *testing.T) {
	s := sharedstate.NewMemory()
	heartbeat(t, NewPublisher(s, 1, true), second)
	heartbeat(t, NewPublisher(s, 2, false), second)
	for _, tc := range []struct {
		now  int64
		want bool
	}{{second, true}, {20 * second, false}} {
		if l, err := Read(s, tc.now); err != nil || l.Redis != tc.want {
			t.Errorf("at %d: got %+v, %v, want Redis %v", tc.now, l, err, tc.want)
		}
	}
}

func TestOneHeartbeatOfManyIsStored(t *testing.T) {
	s := &counting{Memory: sharedstate.NewMemory()}
	var workers []*Publisher
	for range 8 {
		workers = append(workers, NewPublisher(s, 5, false))
		heartbeat(t, workers[len(workers)-1], 100*second)
	}
	s.sets = 0
	for i := int64(1); i <= 10; i++ {
		for _, w := range workers {
			heartbeat(t, w, (100+i)*second)
		}
	}
	if s.sets != 10 {
		t.Errorf("got %d heartbeats of 8 workers stored in 10 s, want 10", s.sets)
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
	big := NewPublisher(s, 1, false)
	for i := range 20_000 {
		big.Add(entry(fmt.Sprintf("cluster-%05d", i), 1))
	}
	heartbeat(t, big, now)
	l, err := Read(s, now)
	if err != nil || !l.LeftOut || len(l.Entries) < 10_000 {
		t.Fatalf("got %d clusters, left out %v, %v, want 10000 or more, true", len(l.Entries), l.LeftOut, err)
	}
	if value, _, err := s.Get(clustersKey(0)); err != nil || len(value) > MaxBytes {
		t.Fatalf("got %d bytes, %v, want at most %d", len(value), err, MaxBytes)
	}
	var documents []*Publisher
	for i := range 40 {
		d := NewPublisher(s, uint64(100+i), false)
		d.Add(entry(fmt.Sprintf("c%d", i), i))
		documents = append(documents, d)
		heartbeat(t, d, now+int64(i))
	}
	if n := s.Len(); n != 1+MaxDocuments {
		t.Errorf("got %d keys, want %d", n, 1+MaxDocuments)
	}
	if got := strings.Fields(listed(t, s, now)); len(got) != MaxDocuments {
		t.Errorf("got the clusters of %d documents, want %d: %s", len(got), MaxDocuments, got)
	}
	if value, _, err := s.Get(documentsKey); err != nil || len(value) != documentTableSize || documentTableSize != 392 {
		t.Errorf("got %d bytes of documents, %v, want 392", len(value), err)
	}
	heartbeat(t, documents[0], now+second) // another document took its row, so it claims a new one
	if got := listed(t, s, now+second); !strings.Contains(got, "c0:0") {
		t.Errorf("got %s, want the document back with c0:0", got)
	}
}

func TestBytesOfAnotherForm(t *testing.T) {
	s := sharedstate.NewMemory()
	for _, key := range []string{documentsKey, clustersKey(0)} {
		if err := s.Set(key, []byte("other bytes"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := listed(t, s, second); got != "" {
		t.Fatalf("got %q, want none", got)
	}
	d := NewPublisher(s, 1, false)
	d.Add(entry("a", 1))
	heartbeat(t, d, second)
	if got := listed(t, s, second); got != "a:1" {
		t.Fatalf("got %q, want a:1", got)
	}
	// The clock began anew: a heartbeat of the clock before is a dead document's.
	if err := s.Set(documentsKey, (&documentTable{rows: [MaxDocuments]documentRow{{document: 1, claim: 1, heartbeat: 1 << 50}}}).AppendTo(nil), 0); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, s, second); got != "" {
		t.Fatal(got)
	}
}

// TestConcurrentWorkers: each cluster that a worker publishes is listed, in whatever order the workers write.
func TestConcurrentWorkers(t *testing.T) {
	s := sharedstate.NewMemory()
	now := 100 * second
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			d := NewPublisher(s, uint64(w%2)+1, false)
			for i := range 20 {
				d.Add(entry(fmt.Sprintf("d%d-%d", w%2, (w*7+i)%30), w%2))
				if _, err := d.Heartbeat(now + int64(i)*second/4); err != nil {
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
		t.Fatalf("got %d clusters, %v, want %d", len(l.Entries), err, len(want))
	}
	for _, e := range l.Entries {
		if !want[e.Cluster] {
			t.Errorf("got %q, want each of them once: %v", e.Cluster, want)
		}
		delete(want, e.Cluster)
	}
}

// TestRowOfAnotherDocument: a worker that finds a document dead, or still believes that a row is its own, does not
// touch the clusters of the document that has the row now. Clusters of an earlier document in that row are not
// listed.
func TestRowOfAnotherDocument(t *testing.T) {
	s := sharedstate.NewMemory()
	old, next := NewPublisher(s, 1, false), NewPublisher(s, 2, false)
	old.Add(entry("old", 1))
	heartbeat(t, old, 100*second)
	claim := old.claim
	next.Add(entry("next", 2))
	heartbeat(t, next, 200*second)
	if old.slot != next.slot {
		t.Fatalf("got rows %d and %d, want the same", old.slot, next.slot)
	}
	if gone, err := old.deleteClusters(old.slot, claim); err != nil || len(gone) != 0 {
		t.Errorf("got %v gone, %v, want none", gone, err)
	}
	old.Add(entry("late", 3))
	if err := old.publish(); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, s, 200*second); got != "next:2" {
		t.Fatalf("got %q, want next:2", got)
	}
	var documents documentTable
	_, err := sharedstate.NewCell(s, documentsKey, &documents).Update(func() bool {
		documents.rows[next.slot].claim++ // a third document has the row, and has not published yet
		return true
	})
	if got := listed(t, s, 200*second); err != nil || got != "" {
		t.Errorf("got %q, %v, want none", got, err)
	}
}

// TestLostDocumentTable: after the table of documents is lost, each document publishes its own clusters again, and no
// others.
func TestLostDocumentTable(t *testing.T) {
	s := sharedstate.NewMemory()
	now := 100 * second
	var documents []*Publisher
	for i := range 3 {
		d := NewPublisher(s, uint64(1+i), false)
		d.Add(entry(fmt.Sprintf("c%d", i), i))
		heartbeat(t, d, now)
		documents = append(documents, d)
	}
	_, cas, err := s.Get(documentsKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(documentsKey, []byte("other bytes"), cas); err != nil {
		t.Fatal(err)
	}
	for i := range int64(2) {
		now += second
		for _, d := range []*Publisher{documents[2], documents[0]} { // in another order, and one less, than at first
			heartbeat(t, d, now)
		}
		if got := listed(t, s, now); got != "c0:0 c2:2" {
			t.Errorf("%d s later: got %q, want c0:0 c2:2", i+1, got)
		}
	}
}

// TestLeftOut: Read says so when clusters do not fit, however small they are.
func TestLeftOut(t *testing.T) {
	for _, tc := range []struct {
		clusters int
		leftOut  bool
	}{{20_000, false}, {25_000, true}} {
		s := sharedstate.NewMemory()
		d := NewPublisher(s, 1, false)
		for i := range tc.clusters {
			d.Add(Entry{Cluster: fmt.Sprintf("c%05d", i)}) // 11 bytes with its length: 2, 1 and 6 of text, 1, 1
		}
		heartbeat(t, d, second)
		l, err := Read(s, second)
		if err != nil || l.LeftOut != tc.leftOut || (len(l.Entries) != tc.clusters) != tc.leftOut {
			t.Errorf("%d clusters: got %d, left out %v, %v, want left out %v", tc.clusters, len(l.Entries), l.LeftOut, err, tc.leftOut)
		}
	}
}

// TestReadPolicies: the documents in force, the one that came last first, each since it came or came back.
func TestReadPolicies(t *testing.T) {
	s := sharedstate.NewMemory()
	inForce := func(at int64) (all string) {
		t.Helper()
		policies, err := ReadPolicies(s, at*second)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range policies {
			all += fmt.Sprintf("%d:%.0f ", p.Document, float64(p.Since)/float64(second))
		}
		return strings.TrimSpace(all)
	}
	at := func(seconds int64, p *Publisher, want string) {
		t.Helper()
		heartbeat(t, p, seconds*second)
		if got := inForce(seconds); got != want {
			t.Errorf("at %d: got %q, want %q", seconds, got, want)
		}
	}
	ten, twenty := NewPublisher(s, 10, false), NewPublisher(s, 20, false)
	at(100, ten, "10:100")
	at(110, ten, "10:100")
	at(112, twenty, "20:112 10:100")
	back := NewPublisher(s, 10, false)
	back.Renew()
	at(114, back, "10:114 20:112")
	at(115, twenty, "10:114 20:112") // ends its last streams
	at(130, back, "10:114")
}
