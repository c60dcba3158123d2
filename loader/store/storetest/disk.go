package storetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// ownNamespace tells a test that it runs again where it may mount.
const ownNamespace = "SEGUE_TEST_OWN_NAMESPACE"

// OnDisk runs a test on a file system of a number of bytes, a tmpfs that is gone
// after it. Who may not mount one here may in a user namespace of its own: then
// the whole test, which does nothing else, is run again there in a process of
// its own. Where neither is allowed the test fails.
func OnDisk(t *testing.T, size int, test func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("segue", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, syscall.EPERM) && os.Getenv(ownNamespace) == "" {
		again(t)
		return
	}
	if err != nil {
		t.Fatalf("this test needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	test(dir)
}

// again runs the test in namespaces of its own, with its user as root there.
func again(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), ownNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a user namespace, as this user may not mount a tmpfs: %v\n%s", err, out)
	}
	t.Logf("in a user namespace:\n%s", out)
}
