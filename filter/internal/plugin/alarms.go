package plugin

import (
	"container/heap"
	"time"
)

// alarms is a heap of streams by the time at which their next attempt is due. A stream that no longer waits stays in
// it: the caller ignores its alarm.
type alarms []alarm

type alarm struct {
	due    int64
	stream uint32
}

// add sets an alarm.
func (a *alarms) add(due int64, stream uint32) { heap.Push(a, alarm{due, stream}) }

// next removes and returns a stream that is due.
func (a *alarms) next(now int64) (stream uint32, ok bool) {
	if len(*a) == 0 || (*a)[0].due > now {
		return 0, false
	}
	return heap.Pop(a).(alarm).stream, true
}

// until is the time to the next alarm, at most most.
func (a alarms) until(now int64, most time.Duration) time.Duration {
	if len(a) == 0 {
		return most
	}
	return min(max(time.Duration(a[0].due-now), 0), most)
}

// Len implements heap.Interface.
func (a alarms) Len() int { return len(a) }

// Less implements heap.Interface.
func (a alarms) Less(i, j int) bool { return a[i].due < a[j].due }

// Swap implements heap.Interface.
func (a alarms) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push implements heap.Interface.
func (a *alarms) Push(x any) { *a = append(*a, x.(alarm)) }

// Pop implements heap.Interface.
func (a *alarms) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}
