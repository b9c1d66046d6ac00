package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// Stolen measures the time in which threads that are ready to run get no CPU, so that a test of delays tells a late
// program from a busy machine. Its measures know nothing of the program under test:
//
//   - a clock on each CPU, a thread bound to it that sleeps for a millisecond again and again: what it oversleeps is a CPU
//     that was taken away, by the hypervisor or by others
//   - of each thread of a process, how long it stood in line for a CPU, by the kernel's own account
//     (/proc/PID/task/TID/schedstat, its second number; Documentation/scheduler/sched-stats.rst)
type Stolen struct {
	stop chan struct{}
	runs sync.WaitGroup

	mu      sync.Mutex
	clocks  [][]theft // by CPU
	threads map[string][]theft
}

// theft is a time that was lost between two moments.
type theft struct {
	from, to time.Time
	lost     time.Duration
}

const (
	nap       = time.Millisecond
	noise     = 300 * time.Microsecond // what each nap takes longer on an idle machine
	sampling  = 5 * time.Millisecond
	cpuMaskOf = 1024
)

// WatchStolen notes from now until the end of t, for the machine and the threads that a process has now.
func WatchStolen(t testing.TB, pid int) *Stolen {
	t.Helper()
	s := &Stolen{stop: make(chan struct{}), threads: map[string][]theft{}}
	var allowed [cpuMaskOf / 64]uint64
	if _, _, e := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(allowed), uintptr(unsafe.Pointer(&allowed))); e != 0 {
		t.Fatalf("the CPUs of this process: %v", e)
	}
	s.clocks = make([][]theft, cpuMaskOf)
	for cpu := range s.clocks {
		if allowed[cpu/64]&(1<<(cpu%64)) != 0 {
			s.runs.Go(func() { s.watchCPU(t, cpu) })
		}
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("process %d has no threads (%v)", pid, err)
	}
	s.runs.Go(func() { s.watchRunQueues(tasks) })
	t.Cleanup(func() {
		close(s.stop)
		s.runs.Wait()
	})
	return s
}

// Between is how much time was lost at most between two moments, on the CPU and to the thread that lost most.
func (s *Stolen) Between(from, to time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := func(thefts []theft) (lost time.Duration) {
		for i := len(thefts) - 1; i >= 0 && thefts[i].to.After(from); i-- {
			if thefts[i].from.Before(to) {
				lost += thefts[i].lost
			}
		}
		return lost
	}
	var cpu, thread time.Duration
	for _, thefts := range s.clocks {
		cpu = max(cpu, sum(thefts))
	}
	for _, thefts := range s.threads {
		thread = max(thread, sum(thefts))
	}
	return cpu + thread
}

func (s *Stolen) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

func (s *Stolen) watchCPU(t testing.TB, cpu int) {
	// Never unlocked: the thread, which stays bound to its CPU, ends with its goroutine.
	runtime.LockOSThread()
	var only [cpuMaskOf / 64]uint64
	only[cpu/64] = 1 << (cpu % 64)
	if _, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(only), uintptr(unsafe.Pointer(&only))); e != 0 {
		t.Errorf("CPU %d: %v", cpu, e)
		return
	}
	for !s.stopped() {
		began, pause := time.Now(), syscall.NsecToTimespec(int64(nap))
		_ = syscall.Nanosleep(&pause, nil) // that a signal ends it early is no loss
		ended := time.Now()
		if lost := ended.Sub(began) - nap; lost > noise {
			s.mu.Lock()
			s.clocks[cpu] = append(s.clocks[cpu], theft{began, ended, lost})
			s.mu.Unlock()
		}
	}
}

func (s *Stolen) watchRunQueues(tasks []string) {
	type sample struct {
		at     time.Time
		waited time.Duration
	}
	last := map[string]sample{}
	for !s.stopped() {
		for _, task := range tasks {
			waited, ok := runQueueWait(task)
			if !ok {
				continue // it ended
			}
			now := sample{time.Now(), waited}
			if before, known := last[task]; known && now.waited > before.waited {
				s.mu.Lock()
				s.threads[task] = append(s.threads[task], theft{before.at, now.at, now.waited - before.waited})
				s.mu.Unlock()
			}
			last[task] = now
		}
		time.Sleep(sampling)
	}
}

func runQueueWait(task string) (waited time.Duration, ok bool) {
	text, err := os.ReadFile(task)
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 2 {
		return 0, false
	}
	ns, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return time.Duration(ns), err == nil
}
