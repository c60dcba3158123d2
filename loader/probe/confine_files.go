package probe

import (
	"errors"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// filterFiles lets all threads of this process read what is below the folders
// and what libraries need, and write nothing. With devices, a driver's files
// and nodes are let through as well. It returns the version of the kernel's
// interface.
func filterFiles(reads []string, devices bool) (abi int, err error) {
	abi, err = ll.LandlockGetABIVersion()
	if err != nil {
		return 0, err
	}
	if abi < 1 {
		return 0, errors.New("switched off in this kernel")
	}
	rules := []landlock.Rule{
		landlock.RODirs(reads...).IgnoreIfMissing(),
		// Where the loader of libraries looks, and what libraries ask of the
		// machine that they are on.
		landlock.RODirs("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64",
			"/proc/self", "/sys/devices/system", "/sys/fs/cgroup").IgnoreIfMissing(),
		landlock.ROFiles("/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/urandom",
			"/proc/cpuinfo", "/proc/meminfo", "/proc/stat").IgnoreIfMissing(),
	}
	if devices {
		rules = append(rules,
			landlock.RODirs("/proc", "/sys", "/usr/local", "/opt", "/run").IgnoreIfMissing(),
			landlock.RWDirs("/dev").WithIoctlDev().IgnoreIfMissing())
	}
	return abi, landlock.V11.BestEffort().Restrict(rules...)
}
