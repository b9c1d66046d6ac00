package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// countingStore counts how many clusters' records are read.
type countingStore struct {
	*sharedstate.Memory
	records int
}

func (s *countingStore) Get(key string) ([]byte, uint32, error) {
	if strings.HasPrefix(key, sharedstate.ClusterKey("")) {
		s.records++
	}
	return s.Memory.Get(key)
}

// manyClusters is a document with the clusters c0, c1 …
func manyClusters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `, "c%d": {"circuit_breaker": {}, "bulkhead": {}}`, i)
	}
	return `{"clusters": {` + b.String()[2:] + `}}`
}

// pieces is a fixture that counts.
type pieces struct {
	*fixture
	store *countingStore
}

func newPieces(t *testing.T, clusters int) *pieces {
	f := newFixture(t, manyClusters(clusters))
	counting := &countingStore{Memory: f.store}
	f.handler.store = counting
	return &pieces{f, counting}
}

func (p *pieces) ask(method, target string) Response {
	p.Helper()
	return p.handler.Handle(&Request{Method: method, Target: target, Host: "localhost", Ended: true}, p.now)
}

// until continues until this ticket's status is rendered, and wants no call to render more than Piece clusters, or AtOnce for the first of a rendering.
func (p *pieces) until(ticket Ticket) (status adminapi.Status, calls int) {
	p.Helper()
	for {
		before, most := p.store.records, Piece
		if p.handler.renderings.current == nil {
			most = AtOnce
		}
		done, response := p.handler.Continue(p.now)
		calls++
		if n := p.store.records - before; n > most {
			p.Fatalf("call %d rendered %d clusters, want at most %d", calls, n, most)
		}
		if done == ticket {
			return p.decode(response), calls
		}
		if calls > 1000 {
			p.Fatalf("ticket %d is not answered after %d calls", ticket, calls)
		}
	}
}

func (p *pieces) decode(r Response) (s adminapi.Status) {
	p.Helper()
	if err := json.Unmarshal(r.Body, &s); err != nil || r.Status != 200 {
		p.Fatalf("got %d %.200s, error %v; want 200 with JSON", r.Status, r.Body, err)
	}
	return s
}

func (p *pieces) open(cluster string) {
	p.Helper()
	if r := p.ask("POST", "/breaker/"+cluster+"/open"); r.Status != 200 {
		p.Fatalf("POST /breaker/%s/open: got %d %s, want 200", cluster, r.Status, r.Body)
	}
}

// TestStatusIsRenderedInPieces: how many clusters a call renders, and in how many calls.
func TestStatusIsRenderedInPieces(t *testing.T) {
	for _, tc := range []struct {
		clusters, atFirst, calls int // calls of Continue, the last of which joins the pieces
	}{
		{1, 1, 0},
		{AtOnce, AtOnce, 0},
		{AtOnce + 1, AtOnce, 2},
		{AtOnce + 3*Piece, AtOnce, 4},
		{1000, AtOnce, 99},
	} {
		t.Run(fmt.Sprint(tc.clusters), func(t *testing.T) {
			p := newPieces(t, tc.clusters)
			r := p.ask("GET", "/status")
			if p.store.records != tc.atFirst {
				t.Errorf("GET /status rendered %d clusters, want %d", p.store.records, tc.atFirst)
			}
			var s adminapi.Status
			calls := 0
			if r.Waits == 0 {
				s = p.decode(r)
			} else {
				s, calls = p.until(r.Waits)
			}
			if calls != tc.calls || p.store.records != tc.clusters || len(s.Clusters) != tc.clusters {
				t.Errorf("got %d calls, %d clusters rendered, %d in the status; want %d, %d, %d",
					calls, p.store.records, len(s.Clusters), tc.calls, tc.clusters, tc.clusters)
			}
			if p.handler.Rendering() {
				t.Error("Rendering: got true, want false")
			}
		})
	}
}

// TestStatusInPiecesIsOneDocument: byte for byte what encoding/json writes for the whole.
func TestStatusInPiecesIsOneDocument(t *testing.T) {
	f := newFixture(t, strings.Replace(manyClusters(50), `"c7"`, `"a<\"clusters\":{}>é"`, 1))
	body := f.request("GET", "/status").Body
	want, err := json.Marshal(get[adminapi.Status](f, "/status"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSuffix(string(body), "\n"); got != string(want) {
		t.Errorf("got  %.600s\nwant %.600s", got, want)
	}
}

// TestStatusIsRenderedOnceForAll: how many clusters are rendered for readers that ask at these times.
func TestStatusIsRenderedOnceForAll(t *testing.T) {
	p := newPieces(t, 100)
	first := p.ask("GET", "/status").Waits
	for range 5 {
		if r := p.ask("GET", "/status"); r.Waits != first {
			t.Fatalf("GET /status while it is rendered: got ticket %d, want %d", r.Waits, first)
		}
	}
	p.until(first)
	rendered := 100
	for _, tc := range []struct {
		after    int64 // after the one before
		rendered int   // for this reader
	}{{0, 0}, {second / 2, 0}, {second/2 - 1, 0}, {1, 100}, {second - 1, 0}, {1, 100}} {
		p.now.Monotonic += tc.after
		p.publish(manyClusters(100))
		if r := p.ask("GET", "/status"); r.Waits != 0 {
			p.until(r.Waits)
		}
		if got := p.store.records - rendered; got != tc.rendered {
			t.Errorf("%d ns later: got %d clusters rendered, want %d", tc.after, got, tc.rendered)
		}
		rendered = p.store.records
	}
}

// TestStatusAfterAnActionIsNew: whoever asks after an operator's action gets a status that shows it, be it kept, begun or
// not begun when the action came; whoever asked before it still gets a status in as many calls.
func TestStatusAfterAnActionIsNew(t *testing.T) {
	elsewhere := func(p *pieces) { // in another worker
		p.now.Monotonic++
		if _, err := registry.ForceBreaker(p.store, "c1", breaker.ForcedOpen, p.now.Monotonic); err != nil {
			p.Fatal(err)
		}
	}
	for name, act := range map[string]func(p *pieces){"here": func(p *pieces) { p.open("c1") }, "in another worker": elsewhere} {
		for _, pieces := range []int{0, 1, 5, 9} { // of 100 clusters that are rendered when the action comes
			t.Run(fmt.Sprintf("%s/after %d calls", name, pieces), func(t *testing.T) {
				p := newPieces(t, 100)
				before := p.ask("GET", "/status").Waits
				answered := false
				for range pieces {
					done, _ := p.handler.Continue(p.now)
					answered = answered || done == before
				}
				act(p)
				r := p.ask("GET", "/status")
				if r.Waits == 0 || r.Waits == before {
					t.Fatalf("after the action: got ticket %d, want one of another rendering than %d", r.Waits, before)
				}
				if !answered {
					if _, calls := p.until(before); calls+pieces != 9 {
						t.Errorf("who asked before: answered after %d calls, want 9", calls+pieces)
					}
				}
				again := p.ask("GET", "/status").Waits
				if again != r.Waits {
					t.Errorf("a second reader after the action: got ticket %d, want %d", again, r.Waits)
				}
				s, _ := p.until(r.Waits)
				if got := s.Clusters["c1"].Breaker; got.State != "open" || len(s.Clusters) != 100 {
					t.Errorf("after the action: got state %q of %d clusters, want open of 100", got.State, len(s.Clusters))
				}
			})
		}
	}
}

// TestAbandonedStatus: nothing is rendered for readers that have left, and the next one gets a whole status.
func TestAbandonedStatus(t *testing.T) {
	p := newPieces(t, 100)
	p.ask("GET", "/status")
	p.open("c1")
	p.ask("GET", "/status") // waits for the second rendering
	p.handler.Abandon()
	before := p.store.records
	if done, _ := p.handler.Continue(p.now); done != 0 || p.store.records != before || p.handler.Rendering() {
		t.Errorf("got ticket %d, %d clusters rendered; want none", done, p.store.records-before)
	}
	s, _ := p.until(p.ask("GET", "/status").Waits)
	if got := len(slices.Collect(maps.Keys(s.Clusters))); got != 100 {
		t.Errorf("the next reader: got %d clusters, want 100", got)
	}
}

// TestOneClusterOfManyReadsOne: an action and a cluster's own status read no other cluster.
func TestOneClusterOfManyReadsOne(t *testing.T) {
	p := newPieces(t, 1000)
	for _, tc := range [][2]string{{"GET", "/status/c999"}, {"POST", "/breaker/c999/open"}, {"POST", "/reset/c999"}} {
		if r := p.ask(tc[0], tc[1]); r.Status != 200 {
			t.Fatalf("%s %s: got %d %s, want 200", tc[0], tc[1], r.Status, r.Body)
		}
	}
	if got := len(p.handler.clusters); got != 1 {
		t.Errorf("got %d clusters unpacked, want 1", got)
	}
}

// TestErrorWhileAStatusIsRendered: all who wait get it, and the next reader a status.
func TestErrorWhileAStatusIsRendered(t *testing.T) {
	p := newPieces(t, 100)
	waits := p.ask("GET", "/status").Waits
	p.handler.store = brokenStore{p.store.Memory}
	if done, r := p.handler.Continue(p.now); done != waits || r.Status != 500 {
		t.Fatalf("got ticket %d, %d %s; want %d, 500", done, r.Status, r.Body, waits)
	}
	p.handler.store = p.store
	if s, _ := p.until(p.ask("GET", "/status").Waits); len(s.Clusters) != 100 {
		t.Errorf("the next reader: got %d clusters, want 100", len(s.Clusters))
	}
}
