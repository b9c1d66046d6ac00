package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPUTime is what a process used so far, user and system, on all its threads.
//
// It sums the run times in /proc/PID/task/*/schedstat, which the scheduler keeps in nanoseconds. utime and stime in
// /proc/PID/stat count ticks of 10 ms, and the split between them is an estimate. A thread that ended takes its time
// along, but Envoy's threads live as long as it does. https://docs.kernel.org/scheduler/sched-stats.html
func CPUTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	if len(tasks) == 0 {
		return 0, fmt.Errorf("no /proc/%d/task/*/schedstat: this needs Linux with CONFIG_SCHED_INFO, as all distributions have it", pid)
	}
	var sum time.Duration
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread ended
		}
		if err != nil {
			return 0, err
		}
		running, _, _ := strings.Cut(string(text), " ")
		nanoseconds, err := strconv.ParseInt(running, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		sum += time.Duration(nanoseconds)
	}
	return sum, nil
}
