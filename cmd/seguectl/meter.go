package main

import (
	"fmt"
	"io"
	"time"
)

// meterEvery is how often a meter is drawn, and how long it waits before the
// first time: what takes less shows none.
const meterEvery = time.Second

// meter shows on a terminal how many bytes a verb has gone through.
type meter struct {
	out    io.Writer // nil where nobody looks
	what   string
	now    func() time.Time
	next   time.Time
	bytes  int64
	total  int64 // 0 where it is not known
	showed bool
}

func (c *cli) meter(what string) *meter {
	m := &meter{what: what, now: c.now}
	if c.interactive {
		m.out = c.stderr
		m.next = c.now().Add(meterEvery)
	}
	return m
}

func (m *meter) add(bytes int) {
	m.bytes += int64(bytes)
	if m.out == nil {
		return
	}
	if now := m.now(); now.After(m.next) {
		m.next = now.Add(meterEvery)
		m.showed = true
		of := ""
		if m.total > 0 {
			of = "of " + bytesText(m.total) + " "
		}
		fmt.Fprintf(m.out, "\r%s: %s %s", m.what, bytesText(m.bytes), of)
	}
}

// reach is a store's progress.
func (m *meter) reach(done, total int64) {
	m.total = total
	m.add(int(done - m.bytes))
}

// end leaves the line that was drawn on.
func (m *meter) end() {
	if m.showed {
		fmt.Fprintln(m.out)
	}
}

// bytesText writes a size for people.
func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exponent := float64(n)/unit, 0
	for ; value >= unit && exponent < 3; exponent++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[exponent])
}

// counted writes a number of things.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
