package host

import (
	"fmt"
	"strings"
	"testing"
)

// recorder is a VM whose plugins and streams write down their callbacks.
type recorder struct{ log []string }

func (r *recorder) add(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) NewPluginContext(id uint32) PluginContext { return &recordedPlugin{vm: r, id: id} }

type recordedPlugin struct {
	DefaultPluginContext
	vm *recorder
	id uint32
}

func (p *recordedPlugin) OnPluginStart(size int) StartStatus {
	p.vm.add("plugin %d starts with %d bytes", p.id, size)
	return StartOK
}

func (p *recordedPlugin) OnTick() { p.vm.add("plugin %d ticks", p.id) }

func (p *recordedPlugin) OnQueueReady(queue uint32) { p.vm.add("plugin %d has queue %d", p.id, queue) }

func (p *recordedPlugin) NewHTTPContext(id uint32) HTTPContext {
	return &recordedStream{vm: p.vm, id: id, plugin: p.id}
}

type recordedStream struct {
	DefaultHTTPContext
	vm         *recorder
	id, plugin uint32
}

func (s *recordedStream) OnHTTPStreamDone() {
	s.vm.add("stream %d of plugin %d is done", s.id, s.plugin)
}

// TestContexts: callbacks reach the plugin or stream that they are for, and those for none are passed over.
func TestContexts(t *testing.T) {
	var vm recorder
	c := contexts{vm: &vm}
	for _, step := range []struct {
		do   string
		call func()
		want string // what the VM hears, separated by ", "
	}{
		{"start plugin 1", func() { c.create(1, 0); c.configure(1, 7) }, "plugin 1 starts with 7 bytes"},
		{"start plugin 2", func() { c.create(2, 0); c.configure(2, 0) }, "plugin 2 starts with 0 bytes"},
		{"start an unknown plugin", func() {
			if got := c.configure(9, 7); got != StartFailed {
				t.Errorf("configure(9) = %v, want StartFailed", got)
			}
		}, ""},
		{"tick", func() { c.tick(2); c.tick(9) }, "plugin 2 ticks"},
		{"queue", func() { c.queueReady(1, 5); c.queueReady(9, 5) }, "plugin 1 has queue 5"},
		{
			"a stream of each plugin", func() { c.create(10, 1); c.create(11, 2); c.remove(10); c.remove(11) },
			"stream 10 of plugin 1 is done, stream 11 of plugin 2 is done",
		},
		{"a stream of an unknown plugin", func() { c.create(12, 9); c.remove(12) }, ""},
		{"a stream is removed twice", func() { c.create(13, 1); c.remove(13); c.remove(13) }, "stream 13 of plugin 1 is done"},
		{"a call ends", func() {
			c.called(7, func(size int) { vm.add("call 7 has %d bytes", size) })
			c.callEnded(1, 7, 3)
		}, "call 7 has 3 bytes"},
		{"it ends again", func() { c.callEnded(1, 7, 3) }, ""},
		{"a call ends after its plugin", func() {
			c.tick(2)
			c.called(8, func(int) { vm.add("call 8") })
			c.remove(2)
			c.callEnded(2, 8, 3)
		}, "plugin 2 ticks"},
		{"a call whose end is not told, since its plugin goes", func() {
			c.create(3, 0)
			c.tick(3)
			c.called(9, func(int) { vm.add("call 9") })
			c.tick(1)
			c.called(10, func(int) { vm.add("call 10") })
			c.remove(3)
			if len(c.calls) != 1 {
				t.Errorf("got %d calls left, want that of plugin 1 alone", len(c.calls))
			}
			c.callEnded(1, 10, 0)
		}, "plugin 3 ticks, plugin 1 ticks, call 10"},
		{"the removed plugin", func() { c.tick(2); c.queueReady(2, 1); c.create(14, 2); c.remove(14) }, ""},
	} {
		vm.log = nil
		step.call()
		if got := strings.Join(vm.log, ", "); got != step.want {
			t.Errorf("%s: got %q, want %q", step.do, got, step.want)
		}
	}
	if len(c.calls) != 0 {
		t.Errorf("got %d calls left, want none", len(c.calls))
	}
}

// TestStreamTable: streams are found by their numbers however long others last, also where several share a slot.
func TestStreamTable(t *testing.T) {
	var table streamTable
	want := map[uint32]HTTPContext{}
	put := func(id uint32) {
		s := &recordedStream{id: id}
		table.put(id, s)
		want[id] = s
	}
	check := func(when string) {
		t.Helper()
		for id := range uint32(5 * slots) {
			if got := table.get(id); got != want[id] {
				t.Fatalf("%s: get(%d) = %v, want %v", when, id, got, want[id])
			}
		}
	}
	check("empty") // number 0, which is no stream, too
	for _, id := range []uint32{3, 3 + slots, 3 + 2*slots, 4, slots} {
		put(id)
	}
	check("three in one slot")
	for _, id := range []uint32{3, 3 + slots, 7, 3 + 2*slots} {
		if got := table.remove(id); got != want[id] {
			t.Errorf("remove(%d) = %v, want %v", id, got, want[id])
		}
		delete(want, id)
		check(fmt.Sprint("after remove ", id))
		put(id + 3*slots)
		check(fmt.Sprint("after put ", id+3*slots))
	}
	for id := range want {
		table.remove(id)
	}
	clear(want)
	check("all removed")
	if len(table.more) != 0 {
		t.Errorf("got %d streams left in the map, want none", len(table.more))
	}
}
