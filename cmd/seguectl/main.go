package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

func main() {
	os.Exit(mainCode())
}

func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second interrupt ends the process at once.
	context.AfterFunc(ctx, stop)
	c := &cli{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		lookupEnv:   os.LookupEnv,
		interactive: isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stderr.Fd()),
		redraw:      isatty.IsTerminal(os.Stdout.Fd()),
		now:         time.Now,
		sleep:       sleep,
		open:        openStore,
	}
	return c.main(ctx, os.Args[1:])
}

// cli is one run of the program. What it touches of the world is in its
// fields, so that tests can be the world.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	lookupEnv      func(string) (string, bool)
	// interactive reports that somebody is there to answer a question, redraw
	// that standard output is a terminal whose lines can be drawn again.
	interactive, redraw bool
	now                 func() time.Time
	sleep               func(ctx context.Context, d time.Duration) error
	open                func(ctx context.Context, config, stateDir string) (*source, error)

	// The flags that all verbs share.
	config, stateDir string
	json             bool

	// ran reports that a verb ran; err and the exit code are its outcome. All
	// other errors are errors of usage, found by the flag parser.
	ran  bool
	code int
}

// main runs one command line and returns the exit code.
func (c *cli) main(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	err := root.ExecuteContext(ctx)
	if c.ran {
		return c.code
	}
	if err != nil {
		c.json = c.json || slices.Contains(args, "--json")
		return c.finish(ctx, nil, usageError{err})
	}
	return exitDone
}

// verb makes a command's RunE of a function that returns what to print.
func (c *cli) verb(run func(ctx context.Context, args []string) (report, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c.ran = true
		result, err := run(cmd.Context(), args)
		c.code = c.finish(cmd.Context(), result, err)
		return nil
	}
}

// sleep waits for d or until ctx ends; then it returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// interrupted reports that the run ends because the user wants it to.
func interrupted(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }
