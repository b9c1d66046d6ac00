package directory

import (
	"errors"
	"strconv"

	"github.com/weir-mesh/weir/sharedstate"
)

// The keys of the store, see sharedstate/key.go.
const rowsKey = "weir/1/directory"

func listKey(slot int) string { return rowsKey + "/" + strconv.Itoa(slot) }

// Document is what one worker publishes of one policy document.
type Document struct {
	store sharedstate.Store
	id    uint64
	redis bool

	added  []Entry        // all of them, in the order in which they came
	known  map[string]int // their places in added
	shown  int            // how many of them are in the list
	slot   int            // of the document's row
	claim  uint32         // 0: it has none yet
	rows   rows
	list   list
	cell   *sharedstate.Cell // of the rows
	inCell *sharedstate.Cell // of the list
}

// NewDocument names a document by a number that its other workers have for it too, and no other document. Redis says
// that it calls Redis. Nothing is published before the first Beat.
func NewDocument(store sharedstate.Store, id uint64, redis bool) *Document {
	d := &Document{store: store, id: max(id, 1), redis: redis, known: map[string]int{}}
	d.cell = sharedstate.NewCell(store, rowsKey, &d.rows)
	d.inCell = sharedstate.NewCell(store, "", &d.list)
	return d
}

// maxAdded bounds the clusters that a worker remembers to publish: more than have room, the smallest of which take 6 bytes.
const maxAdded = MaxBytes / 6

// Add has the next Beat publish a cluster.
func (d *Document) Add(e Entry) {
	if _, known := d.known[e.Cluster]; known || len(d.added) >= maxAdded {
		return
	}
	d.known[e.Cluster] = len(d.added)
	d.added = append(d.added, e)
}

// Beat says that this worker has the document, and publishes what was added. Call it Every second. Gone is the clusters
// that this very call found to be no one's any more: of documents that are silent, unless another one has them.
func (d *Document) Beat(now int64) (gone []Entry, err error) {
	var dead [MaxDocuments]row
	_, err = d.cell.Update(func() (store bool) {
		dead = [MaxDocuments]row{}
		for i := range d.rows.rows {
			if r := &d.rows.rows[i]; r.document != 0 && r.document != d.id && !r.alive(now) {
				dead[i], *r, store = *r, row{}, true
			}
		}
		slot := d.rows.find(d.id)
		switch {
		case slot < 0:
			slot, store = d.rows.claim(d.id, d.redis, now), true
		case now-d.rows.rows[slot].beat >= int64(Every)/2 || !d.rows.rows[slot].alive(now):
			d.rows.rows[slot].beat, store = now, true
		}
		if r := &d.rows.rows[slot]; slot != d.slot || r.claim != d.claim {
			d.slot, d.claim, d.shown = slot, r.claim, 0
		}
		return store
	})
	if err != nil {
		return nil, err
	}
	for slot := range dead {
		if dead[slot].document == 0 {
			continue
		}
		clusters, failed := d.empty(slot, dead[slot].claim)
		gone, err = append(gone, clusters...), errors.Join(err, failed)
	}
	err = errors.Join(err, d.show())
	if len(gone) > 0 {
		gone = d.orphans(gone, now)
	}
	return gone, err
}

// show brings what was added into the list.
func (d *Document) show() error {
	if d.shown == len(d.added) {
		return nil
	}
	d.inCell.Move(listKey(d.slot))
	all := len(d.added)
	_, err := d.inCell.Update(func() (store bool) {
		l := &d.list
		if l.claim > d.claim { // the row is another document's by now
			d.claim = 0
			return false
		}
		if l.claim < d.claim {
			*l, store = list{claim: d.claim, entries: l.entries[:0]}, true
		}
		in := map[string]bool{}
		l.all(func(e *Entry) bool { in[e.Cluster] = true; return true })
		for i := d.shown; i < all; i++ {
			if e := &d.added[i]; !in[e.Cluster] {
				before := l.leftOut
				size := len(l.entries)
				l.add(e.AppendTo(nil))
				store = store || len(l.entries) != size || l.leftOut != before
			}
		}
		return store
	})
	if err == nil {
		d.shown = all
	}
	return err
}

// empty takes what a silent document had out of its place, and tells what that was. Where another document has the place
// by now, it is that one's.
func (d *Document) empty(slot int, claim uint32) (clusters []Entry, err error) {
	d.inCell.Move(listKey(slot))
	_, err = d.inCell.Update(func() bool {
		clusters = nil
		if d.list.claim != claim {
			return false
		}
		d.list.all(func(e *Entry) bool { clusters = append(clusters, *e); return true })
		d.list = list{claim: claim, entries: d.list.entries[:0]}
		return true
	})
	return clusters, err
}

// orphans is those of some clusters that no document has, this one included.
func (d *Document) orphans(clusters []Entry, now int64) (orphans []Entry) {
	listing, err := Read(d.store, now)
	if err != nil {
		return nil
	}
	listed := make(map[string]bool, len(listing.Entries)) // thousands may go at once
	for i := range listing.Entries {
		listed[listing.Entries[i].Cluster] = true
	}
	for _, e := range clusters {
		if _, mine := d.known[e.Cluster]; !mine && !listed[e.Cluster] {
			orphans = append(orphans, e)
		}
	}
	return orphans
}
