package host

// Action is what a stream's callback returns. The numbers are the ABI's (proxy_action_t).
type Action uint32

// What a stream's callback returns: the host goes on, or it waits for ResumeRequest, ResumeResponse or a local reply.
const (
	Continue Action = 0
	Pause    Action = 1
)

// StartStatus is whether a plugin takes its configuration.
type StartStatus bool

// What OnPluginStart returns.
const (
	StartOK     StartStatus = true
	StartFailed StartStatus = false
)

// VMContext makes the plugins of a VM.
type VMContext interface {
	NewPluginContext(id uint32) PluginContext
}

// PluginContext is one configuration in one worker.
type PluginContext interface {
	// OnPluginStart is called first. Its configuration has this size.
	OnPluginStart(size int) StartStatus
	// OnQueueReady is called when something was put into a queue that the plugin has registered.
	OnQueueReady(queue uint32)
	// OnTick is called each time that the period of Every has passed.
	OnTick()
	// NewHTTPContext is called when a stream begins.
	NewHTTPContext(id uint32) HTTPContext
}

// HTTPContext is one HTTP stream. Of a request and a response, `ended` says that nothing follows.
type HTTPContext interface {
	OnHTTPRequestHeaders(n int, ended bool) Action
	OnHTTPRequestBody(size int, ended bool) Action
	OnHTTPRequestTrailers(n int) Action
	OnHTTPResponseHeaders(n int, ended bool) Action
	OnHTTPResponseBody(size int, ended bool) Action
	OnHTTPResponseTrailers(n int) Action
	// OnHTTPStreamDone is called last, once for each stream.
	OnHTTPStreamDone()
}

// DefaultPluginContext is a plugin that does nothing, to be embedded.
type DefaultPluginContext struct{}

// OnPluginStart implements PluginContext.
func (DefaultPluginContext) OnPluginStart(int) StartStatus { return StartOK }

// OnQueueReady implements PluginContext.
func (DefaultPluginContext) OnQueueReady(uint32) {}

// OnTick implements PluginContext.
func (DefaultPluginContext) OnTick() {}

// DefaultHTTPContext is a stream that passes, to be embedded.
type DefaultHTTPContext struct{}

// OnHTTPRequestHeaders implements HTTPContext.
func (DefaultHTTPContext) OnHTTPRequestHeaders(int, bool) Action { return Continue }

// OnHTTPRequestBody implements HTTPContext.
func (DefaultHTTPContext) OnHTTPRequestBody(int, bool) Action { return Continue }

// OnHTTPRequestTrailers implements HTTPContext.
func (DefaultHTTPContext) OnHTTPRequestTrailers(int) Action { return Continue }

// OnHTTPResponseHeaders implements HTTPContext.
func (DefaultHTTPContext) OnHTTPResponseHeaders(int, bool) Action { return Continue }

// OnHTTPResponseBody implements HTTPContext.
func (DefaultHTTPContext) OnHTTPResponseBody(int, bool) Action { return Continue }

// OnHTTPResponseTrailers implements HTTPContext.
func (DefaultHTTPContext) OnHTTPResponseTrailers(int) Action { return Continue }

// OnHTTPStreamDone implements HTTPContext.
func (DefaultHTTPContext) OnHTTPStreamDone() {}
