package main

import (
	"context"
	"errors"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader/store"
)

// Exit codes, the same for all verbs.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitConflict    = 4
	exitChanges     = 5
	exitInterrupted = 130
)

// usageError is an error in how the program was called.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// errChanges ends plan --exit-code where there are changes. It is no failure,
// so nothing is printed for it.
var errChanges = errors.New("there are changes")

// exitCode maps a verb's outcome to the exit code.
func exitCode(ctx context.Context, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errChanges):
		return exitChanges
	case errors.As(err, &usage):
		return exitUsage
	case interrupted(ctx):
		return exitInterrupted
	case errors.Is(err, configs.ErrConflict):
		return exitConflict
	case errors.Is(err, configs.ErrUnreachable), errors.Is(err, store.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailed
}
