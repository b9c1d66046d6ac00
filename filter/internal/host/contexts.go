package host

// contexts are what the host's callbacks go to, by the numbers that the host gave them. A number that is not known, such as
// that of a plugin whose call ends after it was deleted, is passed over: a panic would cost the worker its VM.
type contexts struct {
	vm      VMContext
	plugins map[uint32]PluginContext
	calls   map[uint32]call // of Dispatch, by its id
	running uint32          // the plugin whose callback runs, or ran last
	streams streamTable

	configurationSize int // of the plugin that starts just now
}

// call is one that has not ended. Envoy tells nobody the end of one whose plugin it deletes.
type call struct {
	plugin uint32
	ended  func(bodySize int)
}

// create begins a plugin, whose parent is 0, or a stream, whose parent is its plugin.
func (c *contexts) create(id, parent uint32) {
	switch plugin := c.plugins[parent]; {
	case parent == 0:
		if c.plugins == nil {
			c.plugins = map[uint32]PluginContext{}
		}
		c.plugins[id] = c.vm.NewPluginContext(id)
	case plugin != nil:
		c.streams.put(id, plugin.NewHTTPContext(id))
	}
}

// configure starts a plugin.
func (c *contexts) configure(id uint32, size int) StartStatus {
	plugin := c.plugins[id]
	if plugin == nil {
		return StartFailed
	}
	c.running, c.configurationSize = id, size
	return plugin.OnPluginStart(size)
}

func (c *contexts) tick(plugin uint32) {
	if p := c.plugins[plugin]; p != nil {
		c.running = plugin
		p.OnTick()
	}
}

func (c *contexts) queueReady(plugin, queue uint32) {
	if p := c.plugins[plugin]; p != nil {
		c.running = plugin
		p.OnQueueReady(queue)
	}
}

// called notes what is called at the end of a call of the running plugin.
func (c *contexts) called(id uint32, ended func(bodySize int)) {
	if c.calls == nil {
		c.calls = map[uint32]call{}
	}
	c.calls[id] = call{c.running, ended}
}

// callEnded is the end of a call of this plugin.
func (c *contexts) callEnded(plugin, id uint32, bodySize int) {
	call, ok := c.calls[id]
	delete(c.calls, id)
	if ok && c.plugins[plugin] != nil {
		c.running = plugin
		call.ended(bodySize)
	}
}

// remove ends a stream or a plugin. It is the last callback for it: Envoy calls no proxy_on_log, which the module does not
// export, since each call into it costs some 3,000 instructions.
func (c *contexts) remove(id uint32) {
	if s := c.streams.remove(id); s != nil {
		s.OnHTTPStreamDone()
		return
	}
	delete(c.plugins, id)
	for token, call := range c.calls {
		if call.plugin == id {
			delete(c.calls, token)
		}
	}
}

// slots is how many streams a streamTable finds by a comparison: a power of two.
const slots = 256

// streamTable finds streams by their numbers. The host counts them up, so the streams that a worker has at the same time mostly
// have slots of their own. A stream whose slot an older one still has is found in a map.
//
//	number  1           2           …  255           256         257: slot 1 is free again, or else in the map
//	slot    1           2              255             0
type streamTable struct {
	slot [slots]streamSlot
	more map[uint32]HTTPContext
}

type streamSlot struct {
	id     uint32
	stream HTTPContext // nil: the slot is free
}

func (t *streamTable) put(id uint32, s HTTPContext) {
	if slot := &t.slot[id%slots]; slot.stream == nil {
		*slot = streamSlot{id, s}
		return
	}
	if t.more == nil {
		t.more = map[uint32]HTTPContext{}
	}
	t.more[id] = s
}

// get is the stream with this number, nil where there is none.
func (t *streamTable) get(id uint32) HTTPContext {
	if slot := &t.slot[id%slots]; slot.id == id {
		return slot.stream
	}
	return t.more[id]
}

// remove removes the stream with this number, and returns it, nil where there is none.
func (t *streamTable) remove(id uint32) HTTPContext {
	s := t.get(id)
	if slot := &t.slot[id%slots]; slot.id == id {
		*slot = streamSlot{}
	} else {
		delete(t.more, id)
	}
	return s
}
