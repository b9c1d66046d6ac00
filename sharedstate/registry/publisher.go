package registry

import (
	"errors"
	"strconv"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// The keys of the store; sharedstate/key.go has the others.
const documentsKey = sharedstate.Prefix + "registry"

// clustersKey is the key of a document's list. An older module's, which may have the same document until a reload is over, has another
// version, and neither replaces the other's.
func clustersKey(slot int) string {
	return documentsKey + "/v" + strconv.Itoa(clusterListVersion) + "/" + strconv.Itoa(slot)
}

// Publisher publishes one policy document, for one worker.
type Publisher struct {
	store    sharedstate.Store
	document uint64
	redis    bool

	entries   []Entry        // all that were added, in their order
	index     map[string]int // of a cluster's entry in entries
	published int            // how many of entries are in the list
	slot      int            // of the document's row
	claim     uint32         // 0: the document has no row yet
	renew     bool           // the next Heartbeat makes the document the newest one in force
	news      bool           // the last Heartbeat did
	newest    bool           // it was the newest one after the last Heartbeat

	patterns      []string // of the document
	patternBytes  int      // of all that were added
	matched       []string // those that a request of this worker matched
	patternsShown uint32   // the claim under which the others are published; 0: something is new
	unmatched     int

	documents     documentTable
	documentsCell *sharedstate.Cell
	list          clusterList
	listCell      *sharedstate.Cell
}

// NewPublisher publishes a document under a number that is the same in all workers with this document, and differs
// from every other document's. Redis says whether the document calls Redis. Nothing is published before the first
// Heartbeat.
func NewPublisher(store sharedstate.Store, document uint64, redis bool) *Publisher {
	p := &Publisher{store: store, document: max(document, 1), redis: redis, index: map[string]int{}}
	p.documentsCell = sharedstate.NewCell(store, documentsKey, &p.documents)
	p.listCell = sharedstate.NewCell(store, "", &p.list)
	return p
}

// maxEntries bounds what a worker remembers to publish: more than fits, since the smallest entries take 6 bytes.
const maxEntries = MaxBytes / 6

// Add publishes a cluster with the next Heartbeat.
func (p *Publisher) Add(e Entry) {
	if _, known := p.index[e.Cluster]; known || len(p.entries) >= maxEntries {
		return
	}
	p.index[e.Cluster] = len(p.entries)
	p.entries = append(p.entries, e)
}

// Heartbeat shows that this worker has the document, and publishes what was added. Call it every
// sharedstate.HeartbeatEvery. It returns the clusters that no document has any more and that this call deleted: those
// of documents without a heartbeat, except the clusters that another document has too, with a policy that is not off.
func (p *Publisher) Heartbeat(now int64) (gone []Entry, err error) {
	var dead [MaxDocuments]documentRow
	_, err = p.documentsCell.Update(func() (store bool) {
		dead, store = p.documents.removeDead(p.document, now)
		slot := p.documents.find(p.document)
		p.news = slot < 0 || p.renew && slot != p.documents.newest(now)
		switch {
		case slot < 0:
			slot, store = p.documents.claim(p.document, p.redis, now), true
		case p.news:
			p.documents.renew(slot, now)
			store = true
		}
		row := &p.documents.rows[slot]
		if now-row.heartbeat >= int64(sharedstate.HeartbeatEvery)/2 || !row.alive(now) {
			row.heartbeat, store = now, true
		}
		p.newest = slot == p.documents.newest(now)
		if slot != p.slot || row.claim != p.claim {
			p.slot, p.claim, p.published = slot, row.claim, 0
		}
		return store
	})
	if err != nil {
		p.news = false
		return nil, err
	}
	p.renew = false
	for slot, row := range dead {
		if row.document == 0 {
			continue
		}
		clusters, failed := p.deleteClusters(slot, row.claim)
		gone, err = append(gone, clusters...), errors.Join(err, failed)
	}
	err = errors.Join(err, p.publish(), p.publishPatterns())
	if len(gone) > 0 {
		gone = p.withoutDocument(gone, now)
	}
	return gone, err
}

// Renew says that the document was loaded again: with the next Heartbeat it is the newest one in force, if it is not yet. A policy
// that comes back within seconds has its row still, since its old workers were alive just now.
func (p *Publisher) Renew() { p.renew = true }

// News reports whether the last Heartbeat made the document the newest one in force: a new one or one that comes back, and not
// one more worker of it.
func (p *Publisher) News() bool { return p.news }

// NewestSince is since when the document was the newest one in force at the last Heartbeat, as Policy.Since; 0: another one was newer.
func (p *Publisher) NewestSince() int64 {
	if !p.newest {
		return 0
	}
	return p.documents.rows[p.slot].since()
}

// removeDead frees the rows of all documents without a heartbeat, except own. Dead are these rows as they were.
func (t *documentTable) removeDead(own uint64, now int64) (dead [MaxDocuments]documentRow, changed bool) {
	for i := range t.rows {
		if r := &t.rows[i]; r.document != 0 && r.document != own && !r.alive(now) {
			dead[i], *r, changed = *r, documentRow{}, true
		}
	}
	return dead, changed
}

// publish writes the entries that are not in the list yet.
func (p *Publisher) publish() error {
	if p.published == len(p.entries) {
		return nil
	}
	p.listCell.Move(clustersKey(p.slot))
	_, err := p.listCell.Update(func() (store bool) {
		l := &p.list
		if l.claim > p.claim { // another document has the row now
			p.claim = 0
			return false
		}
		if l.claim < p.claim {
			*l, store = clusterList{claim: p.claim, entries: l.entries[:0]}, true
		}
		listed := make([]bool, len(p.entries)) // by this document's other workers
		l.each(func(cluster, _ []byte) {
			if i, own := p.index[string(cluster)]; own {
				listed[i] = true
			}
		})
		before, size := l.leftOut, len(l.entries)
		var packed []byte
		for i := p.published; i < len(p.entries); i++ {
			if !listed[i] {
				packed = p.entries[i].AppendTo(packed[:0])
				l.add(packed)
			}
		}
		return store || len(l.entries) != size || l.leftOut != before
	})
	if err == nil {
		p.published = len(p.entries)
	}
	p.dropList()
	return err
}

// dropList frees the list that was worked on: it has up to 256 KiB, packed as well, and is hardly ever needed again.
func (p *Publisher) dropList() {
	p.list = clusterList{}
	p.listCell = sharedstate.NewCell(p.store, "", &p.list)
}

// deleteClusters empties the list of a dead document and returns those of its clusters that this document has not. Where another
// document has the row by now, it leaves the list alone.
func (p *Publisher) deleteClusters(slot int, claim uint32) (clusters []Entry, err error) {
	p.listCell.Move(clustersKey(slot))
	_, err = p.listCell.Update(func() bool {
		clusters = nil
		if p.list.claim != claim {
			return false
		}
		p.list.each(func(cluster, packed []byte) {
			if i, own := p.index[string(cluster)]; own && p.entries[i].Policy.Mode != policy.ModeOff {
				return
			}
			var e Entry
			if e.Unpack(packed) {
				clusters = append(clusters, e)
			}
		})
		p.list = clusterList{claim: claim, entries: p.list.entries[:0]}
		return true
	})
	p.dropList()
	return clusters, err
}

// withoutDocument are those of the clusters for which no document has a policy that is not off.
func (p *Publisher) withoutDocument(clusters []Entry, now int64) (without []Entry) {
	scan, err := newScan(p.store, now, true)
	if err != nil {
		return nil
	}
	listed := map[string]bool{} // thousands may go at once
	for scan.More() {
		listed[string(scan.Next().Cluster())] = true
	}
	for _, e := range clusters {
		if e.Policy.Mode != policy.ModeOff && !listed[e.Cluster] {
			without = append(without, e)
		}
	}
	return without
}
