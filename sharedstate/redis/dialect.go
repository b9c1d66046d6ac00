package redis

// MaxBody is the size of the largest response that is read. The reply to a call has less than 200 bytes.
const MaxBody = 64 << 10

// Dialect is the HTTP API of a bridge to Redis.
type Dialect interface {
	// MaxCommands is how many commands a request can carry.
	MaxCommands() int
	// Request is the request that carries commands, 1 to MaxCommands. Its body is valid until the next call of Request.
	Request(commands []Command) Request
	// Results reads the response: it appends one Result for each command to results. The error, an *Error, is for all of
	// them: the response holds no results of Redis. It keeps nothing of body.
	Results(results []Result, status int, body []byte, commands []Command) ([]Result, error)
}

// Request is an HTTP request.
type Request struct {
	Method, Path  string
	ContentType   string
	Authorization string // none where empty
	Body          []byte
}

// Result is Redis's reply to one command: whole numbers, a status, or an error.
type Result struct {
	Ints   []int64 // an array of numbers, or one number
	Status string  // such as PONG
	Err    error   // an *Error
}
