package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc, the same on all Linux machines.
const tick = 10 * time.Millisecond

// cpuTimes is processor time by program.
type cpuTimes map[string]time.Duration

// programs has the names of interesting processes by the beginning of their command lines.
var programs = []struct{ begins, name string }{
	{"/ko-app/webhook", "Tekton's webhook"},
	{"/ko-app/", "Tekton's controllers"},
	{"/archiver run", "installed archiver"},
	{"/webhook ", "Indelible's webhook"},
}

// components are known by the base name of their program.
var components = []string{"archiver", "s3", "kube-apiserver", "etcd", "kube-controller-manager", "kubelet",
	"containerd", "bench"}

// readCPU adds up /proc/<pid>/stat of all processes; busy and idle are the machine's, from
// /proc/stat.
func readCPU() (cpuTimes, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	times := cpuTimes{}
	for _, file := range files {
		if used, err := processTime(file); err == nil {
			times[programOf(filepath.Dir(file))] += used
		}
	}
	var user, nice, system, idle, wait int64
	if _, err := fmt.Sscanf(line("/proc/stat"), "cpu %d %d %d %d %d", &user, &nice, &system, &idle, &wait); err != nil {
		return nil, fmt.Errorf("reading /proc/stat: %w", err)
	}
	times["all"], times["idle"] = time.Duration(user+nice+system)*tick, time.Duration(idle+wait)*tick
	return times, nil
}

// processTime reads utime and stime, fields 14 and 15. Field 2 is a name in parentheses that may
// contain spaces.
func processTime(file string) (time.Duration, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: too short", file)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, err
}

func programOf(process string) string {
	text, err := os.ReadFile(filepath.Join(process, "cmdline"))
	if err != nil {
		return "other"
	}
	command := strings.ReplaceAll(string(text), "\x00", " ")
	for _, p := range programs {
		if strings.HasPrefix(command, p.begins) {
			return p.name
		}
	}
	program, _, _ := strings.Cut(command, " ")
	if name := filepath.Base(program); slices.Contains(components, name) {
		return name
	}
	return "other"
}

// since returns what was used since an earlier reading, in core seconds per run, largest first.
func (c cpuTimes) since(before cpuTimes, runs int) string {
	used := map[string]time.Duration{}
	for name, t := range c {
		used[name] = t - before[name]
	}
	all, idle := used["all"], used["idle"]
	delete(used, "all")
	delete(used, "idle")
	delete(used, "other")
	names := make([]string, 0, len(used))
	known := time.Duration(0)
	for name, t := range used {
		known += t
		if t > all/100 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return int(used[b] - used[a]) })
	var text []string
	for _, name := range names {
		text = append(text, fmt.Sprintf("%s %.2f ms", name, ms(used[name])/float64(runs)))
	}
	return fmt.Sprintf("%s, all else %.2f ms; idle %.0f %% of the machine", strings.Join(text, ", "),
		ms(max(all-known, 0))/float64(runs),
		100*idle.Seconds()/(all+idle).Seconds())
}

// peakMemory returns the peak resident set of a process in bytes.
func peakMemory(pid int) (int64, error) {
	var kib int64
	if _, err := fmt.Sscan(field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM"), &kib); err != nil {
		return 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return kib << 10, nil
}
