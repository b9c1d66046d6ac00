package load

import (
	"net/http"
	"time"
)

// Answer is the outcome of one request. Either Status is set, or Err.
type Answer struct {
	Server     int       // index in Plan.URLs
	Number     string    // see Plan.Number
	Start, End time.Time // with monotonic readings
	Status     int
	Header     http.Header
	Body       string
	Left       bool // this client was to leave early, whether or not the response was quicker
	Err        error
}

// Answers are in no particular order.
type Answers []Answer

// Statuses counts the answers by status code, without the requests that failed.
func (a Answers) Statuses() map[int]int {
	counts := map[int]int{}
	for _, answer := range a {
		if answer.Err == nil {
			counts[answer.Status]++
		}
	}
	return counts
}

// With returns the answers of a status code.
func (a Answers) With(status int) Answers {
	var some Answers
	for _, answer := range a {
		if answer.Err == nil && answer.Status == status {
			some = append(some, answer)
		}
	}
	return some
}

// Failed returns the requests that failed although their client was not to leave.
func (a Answers) Failed() Answers {
	var some Answers
	for _, answer := range a {
		if answer.Err != nil && !answer.Left {
			some = append(some, answer)
		}
	}
	return some
}

// StartByNumber returns when each request began, by its number. See Plan.Number.
func (a Answers) StartByNumber() map[string]time.Time {
	moments := make(map[string]time.Time, len(a))
	for _, answer := range a {
		moments[answer.Number] = answer.Start
	}
	return moments
}

// Starts returns when the requests began.
func (a Answers) Starts() []time.Time {
	moments := make([]time.Time, len(a))
	for i, answer := range a {
		moments[i] = answer.Start
	}
	return moments
}

// Ends returns when the responses were complete or the requests failed.
func (a Answers) Ends() []time.Time {
	moments := make([]time.Time, len(a))
	for i, answer := range a {
		moments[i] = answer.End
	}
	return moments
}
