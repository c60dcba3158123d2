package load

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mostEvents is how many events one wait returns.
const mostEvents = 128

// poller is an epoll set of sockets. It reports edges: what it has told once it
// does not tell again, so that a request costs no call of epoll_ctl.
//
// Its system calls bypass Go's scheduler, which would otherwise look for other
// work for the processor that waits here, and be woken for every answer. The
// wait is interrupted when the collector wants the goroutine to stop, and ends
// soon in any case.
type poller struct {
	fd     int
	events [mostEvents]unix.EpollEvent
	limit  unix.Timespec
	// timer is a timerfd, on kernels whose epoll counts in milliseconds only; -1
	// on others.
	timer int
}

// timerKey marks the timer's events.
const timerKey = -1

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &poller{fd: fd, timer: -1}
	if _, err := p.wait(0); errors.Is(err, unix.ENOSYS) {
		if err := p.useTimer(); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

// useTimer has waits ended by a timerfd. It is for Linux before 5.11.
func (p *poller) useTimer() (err error) {
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		p.timer = -1
		return os.NewSyscallError("timerfd_create", err)
	}
	return p.add(p.timer, timerKey, false)
}

// add reports from now on that there is something to read from a socket, or no
// more; with writable also that it takes more again.
func (p *poller) add(fd int, key int32, writable bool) error {
	event := unix.EpollEvent{Events: wanted(writable), Fd: key}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &event))
}

// addWritable reports from now on also that a socket takes more again.
func (p *poller) addWritable(fd int, key int32) error {
	event := unix.EpollEvent{Events: wanted(true), Fd: key}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &event))
}

// hungUp are the events after which a socket has no more than what lies there.
const hungUp = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

func wanted(writable bool) uint32 {
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff)
	if writable {
		events |= unix.EPOLLOUT
	}
	return events
}

// wait returns the events that there are, the timer's among them. Without any
// it waits for one at most for d, or until a signal comes.
func (p *poller) wait(d time.Duration) ([]unix.EpollEvent, error) {
	p.limit = unix.NsecToTimespec(max(0, d.Nanoseconds()))
	var n uintptr
	var errno unix.Errno
	if p.timer < 0 {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), mostEvents,
			uintptr(unsafe.Pointer(&p.limit)), 0, 0)
	} else {
		forever := ^uintptr(0)
		if d <= 0 {
			forever = 0
		} else if err := unix.TimerfdSettime(p.timer, 0, &unix.ItimerSpec{Value: p.limit}, nil); err != nil {
			return nil, os.NewSyscallError("timerfd_settime", err)
		}
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), mostEvents, forever, 0, 0)
	}
	switch errno {
	case 0:
		return p.events[:n], nil
	case unix.EINTR:
		return nil, nil
	}
	return nil, fmt.Errorf("epoll: %w", errno)
}

func (p *poller) close() {
	if p.timer >= 0 {
		_ = unix.Close(p.timer)
	}
	_ = unix.Close(p.fd)
}
