package load

import (
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// endpoint is where connections go.
type endpoint struct {
	domain int
	// address makes another one for each connection: it is written to where it
	// is used.
	address func() unix.Sockaddr
}

func resolve(network, addr string) (endpoint, error) {
	switch network {
	case "unix":
		return endpoint{unix.AF_UNIX, func() unix.Sockaddr { return &unix.SockaddrUnix{Name: addr} }}, nil
	case "tcp":
		at, err := net.ResolveTCPAddr(network, addr)
		if err != nil {
			return endpoint{}, err
		}
		if four := at.IP.To4(); four != nil || len(at.IP) == 0 {
			address := unix.SockaddrInet4{Port: at.Port}
			copy(address.Addr[:], four)
			return endpoint{unix.AF_INET, func() unix.Sockaddr { own := address; return &own }}, nil
		}
		address := unix.SockaddrInet6{Port: at.Port}
		copy(address.Addr[:], at.IP.To16())
		return endpoint{unix.AF_INET6, func() unix.Sockaddr { own := address; return &own }}, nil
	}
	return endpoint{}, fmt.Errorf("unknown network %q", network)
}

// connect returns a socket that does not block. Over TCP it may not be connected
// yet: until it is, writes would block, and where it fails they say why.
func (e endpoint) connect(timeout time.Duration) (fd int, err error) {
	if fd, err = unix.Socket(e.domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err = e.connectSocket(fd, timeout); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (e endpoint) connectSocket(fd int, timeout time.Duration) error {
	if e.domain == unix.AF_UNIX {
		// A listener that has no room cannot be waited for with epoll.
		limit := unix.NsecToTimeval(timeout.Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		if err := unix.Connect(fd, e.address()); err != nil {
			return os.NewSyscallError("connect", err)
		}
		return os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Connect(fd, e.address()); err != nil && err != unix.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	return nil
}

// read and write move bytes without waiting and without Go's scheduler; EAGAIN
// is errno's word for that there is nothing, or no room. A write to a socket
// that was reset raises no signal.
func read(fd int, into []byte) (n int, errno unix.Errno) {
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(into))), uintptr(len(into)), 0, 0, 0)
		switch errno {
		case 0:
			return int(r), 0
		case unix.EINTR:
			continue
		}
		return 0, errno
	}
}

func write(fd int, from []byte) (n int, errno unix.Errno) {
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(from))), uintptr(len(from)), unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(r), 0
		case unix.EINTR:
			continue
		}
		return 0, errno
	}
}
