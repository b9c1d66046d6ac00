package plugin

import (
	"container/heap"
	"time"
)

// alarms are the streams that wait for a moment, the next one first. One that no longer waits is not taken out: its alarm
// finds nobody.
type alarms []alarm

type alarm struct {
	due    int64
	stream uint32
}

// add sets an alarm.
func (a *alarms) add(due int64, stream uint32) { heap.Push(a, alarm{due, stream}) }

// next takes out a stream whose moment has come.
func (a *alarms) next(now int64) (stream uint32, ok bool) {
	if len(*a) == 0 || (*a)[0].due > now {
		return 0, false
	}
	return heap.Pop(a).(alarm).stream, true
}

// until is how long the next one is away, at most so long.
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
