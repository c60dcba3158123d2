package probe

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// deniedCalls are the system calls that no engine needs. They fail with EPERM:
// libraries try things, and a try that is not granted is no fault of the model.
// A call that the table of the filter does not know, such as one of a newer
// kernel or of a 32-bit program, is denied as well.
func deniedCalls() []string {
	const (
		programs  = "execve execveat fork vfork uselib setpgid setsid "
		processes = "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_open pidfd_getfd " +
			"pidfd_send_signal tkill rt_sigqueueinfo rt_tgsigqueueinfo migrate_pages move_pages "
		kernel = "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register kexec_load kexec_file_load " +
			"init_module finit_module delete_module create_module query_module get_kernel_syms reboot syslog acct swapon swapoff " +
			"iopl ioperm modify_ldt personality lookup_dcookie nfsservctl _sysctl sysfs ustat memfd_secret seccomp "
		keys   = "add_key keyctl request_key "
		mounts = "mount umount umount2 pivot_root chroot mount_setattr open_tree open_tree_attr move_mount fsopen fsconfig " +
			"fsmount fspick statmount listmount unshare setns quotactl quotactl_fd "
		clocks = "settimeofday stime clock_settime clock_adjtime adjtimex sethostname setdomainname "
		files  = "open_by_handle_at name_to_handle_at fanotify_init fanotify_mark mknod mknodat chown fchown lchown fchownat " +
			"chmod fchmod fchmodat fchmodat2 setxattr lsetxattr fsetxattr setxattrat vhangup "
		privileges = "setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset "
		messages   = "msgget msgsnd msgrcv msgctl semget semop semtimedop semctl shmget shmat shmdt shmctl " +
			"mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr "
		// Let through by filterCalls under a condition, or answered otherwise.
		conditional = "socket socketpair clone clone3 kill tgkill prlimit64"
	)
	return strings.Fields(programs + processes + kernel + keys + mounts + clocks + files + privileges + messages + conditional)
}

// filterCalls installs the filter on all threads of this process, those to
// come included.
func filterCalls() error {
	info, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	allowed := make([]string, 0, len(info.SyscallNames))
	denied := deniedCalls()
	for _, name := range slices.Sorted(maps.Keys(info.SyscallNames)) {
		if !slices.Contains(denied, name) {
			allowed = append(allowed, name)
		}
	}
	if len(allowed) == 0 {
		return fmt.Errorf("no table of system calls for %s", info.Name)
	}
	self := uint64(os.Getpid())
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: allowed},
			{Action: seccomp.ActionAllow, NamesWithCondtions: []seccomp.NameWithConditions{
				when("socket", 0, seccomp.Equal, unix.AF_UNIX),
				when("socketpair", 0, seccomp.Equal, unix.AF_UNIX),
				when("clone", 0, seccomp.BitsSet, unix.CLONE_THREAD),
				when("kill", 0, seccomp.Equal, self),
				when("tgkill", 0, seccomp.Equal, self),
				when("prlimit64", 0, seccomp.Equal, 0),
			}},
			// Its arguments lie in memory, where a filter does not see them; the
			// C library goes back to clone where a kernel does not have it.
			{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}},
		},
	}
	return seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: policy})
}

func when(call string, argument uint32, operation seccomp.Operation, value uint64) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{Name: call, Conditions: seccomp.ArgumentConditions{{Argument: argument, Operation: operation, Value: value}}}
}
