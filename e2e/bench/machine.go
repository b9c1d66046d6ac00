package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// MachineTime is what the machine's CPUs spent so far, in ticks: on everything together, idleness included, and on
// waiting for a hypervisor that ran something else ("steal"). A process's run time contains what was stolen from it, so
// numbers from a time with much of it are too high.
// https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat
func MachineTime() (all, stolen int64, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	const steal, guest = 8, 9 // places in "cpu user nice system idle iowait irq softirq steal guest …"; guest is in user already
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	for i := 1; i < min(guest, len(fields)); i++ {
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
		all += ticks
		if i == steal {
			stolen = ticks
		}
	}
	return all, stolen, nil
}

// memoryKiB is a process's resident memory.
func memoryKiB(pid int) (int64, error) {
	value, err := field(fmt.Sprintf("/proc/%d/status", pid), "VmRSS")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
}

// CPUModel names the machine's processor.
func CPUModel() string {
	model, err := field("/proc/cpuinfo", "model name")
	if err != nil {
		return "unknown CPU"
	}
	return model
}

// field reads a line `name: value` of a file in /proc.
func field(path, name string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s: no %s", path, name)
}
