package main

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/loader"
)

var (
	residentDesc = prometheus.NewDesc("segue_resident_bytes",
		"Memory that the process holds on a device; on the CPU its resident set, models and all else.", []string{"device"}, nil)
	memoryLimitDesc = prometheus.NewDesc("segue_memory_limit_bytes",
		"Memory that the process may hold on the CPU: the least of its control groups' limits, of what the machine has and of --memory-limit.", nil, nil)
)

// memory exports what the process holds and may hold. Go's own metrics leave
// the models out, which lie in memory outside its heap. The files are below
// root, the machine's but in tests; given is the limit that an operator gave, 0
// for none.
type memory struct {
	root  fs.FS
	given int64
}

func newMemory(given int64) memory { return memory{os.DirFS("/"), given} }

// Describe sends the descriptions of what Collect exports.
func (memory) Describe(to chan<- *prometheus.Desc) {
	to <- residentDesc
	to <- memoryLimitDesc
}

// Collect reads the files anew. What cannot be read is left out.
func (m memory) Collect(to chan<- prometheus.Metric) {
	if bytes, err := m.resident(); err == nil {
		to <- prometheus.MustNewConstMetric(residentDesc, prometheus.GaugeValue, float64(bytes), "cpu")
	}
	if bytes, ok := m.limit(); ok {
		to <- prometheus.MustNewConstMetric(memoryLimitDesc, prometheus.GaugeValue, float64(bytes))
	}
}

// resident is the size of the resident set.
func (m memory) resident() (bytes int64, err error) {
	statm, err := fs.ReadFile(m.root, "proc/self/statm")
	if err != nil {
		return 0, err
	}
	var all, pages int64
	if _, err := fmt.Sscan(string(statm), &all, &pages); err != nil {
		return 0, fmt.Errorf("statm %q: %w", statm, err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// keptBack is the part kept back of the limit, for requests and for what is measured too late.
const keptBack = 20

// room is what may still be taken, ok that it is known: what the limit leaves,
// less a twentieth of it that is kept back for requests, and no more than the
// machine has.
func (m memory) room() (room loader.Memory, ok bool) {
	limit, ok := m.limit()
	held, err := m.resident()
	if !ok || err != nil {
		return loader.Memory{}, false
	}
	left := limit - limit/keptBack - held
	if available, ok := m.machine("MemAvailable:"); ok {
		left = min(left, available)
	}
	return loader.Memory{Left: max(0, left), Limit: limit}, true
}

// machine is a line of what the kernel says of the machine's memory.
func (m memory) machine(name string) (bytes int64, ok bool) {
	info, err := fs.ReadFile(m.root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err == nil
		}
	}
	return 0, false
}

// limit is the least of the limits that hold; ok reports that there is one.
func (m memory) limit() (bytes int64, ok bool) {
	bytes = math.MaxInt64
	if all, ok := m.machine("MemTotal:"); ok {
		bytes = all
	}
	if m.given > 0 {
		bytes = min(bytes, m.given)
	}
	groups, err := fs.ReadFile(m.root, "proc/self/cgroup")
	if err != nil {
		return bytes, bytes < math.MaxInt64
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		switch {
		case len(parts) == 3 && parts[1] == "":
			bytes = min(bytes, m.groupLimit("sys/fs/cgroup", parts[2], "memory.max"))
		case len(parts) == 3 && parts[1] == "memory":
			bytes = min(bytes, m.groupLimit("sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"))
		}
	}
	return bytes, bytes < math.MaxInt64
}

// groupLimit is the least limit of a control group and of those above it. In a
// container the group's own path may be missing, and the mount is its group.
func (m memory) groupLimit(mount, group, file string) int64 {
	least := int64(math.MaxInt64)
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		if text, err := fs.ReadFile(m.root, path.Join(mount, at, file)); err == nil {
			// No limit is the word max.
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				least = min(least, n)
			}
		}
		if at == "/" {
			return least
		}
	}
}
