package redis

// MaxBody is the size of the largest answer that is read. The answer to a call is below 200 bytes.
const MaxBody = 64 << 10

// Dialect is the way in which an HTTP bridge to Redis is spoken to.
type Dialect interface {
	// MaxCommands is how many commands a request carries at most.
	MaxCommands() int
	// Request is the request that carries commands, 1 to MaxCommands. Its body is good until the next one.
	Request(commands []Command) Request
	// Results reads the answer: one Result for each command, appended to results. Where the answer is none of Redis's, an
	// error for all of them. It keeps nothing of body.
	Results(results []Result, status int, body []byte, commands []Command) ([]Result, error)
}

// Request is an HTTP request.
type Request struct {
	Method, Path  string
	ContentType   string
	Authorization string // none where empty
	Body          []byte
}

// Result is Redis's answer to one command: whole numbers, a status, or an error.
type Result struct {
	Ints   []int64 // of an array of numbers, or one number
	Status string  // such as PONG, or an array's only text
	Err    error   // an *Error
}
