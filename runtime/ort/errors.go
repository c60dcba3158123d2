package ort

// #include "api.h"
import "C"

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/segue-serving/segue/runtime"
)

// codeInvalidArgument is ONNX Runtime's code for what the caller sent; it keeps
// the code of the node that failed.
const codeInvalidArgument = 2

func asError(c *C.segue_error) error {
	if c.code == 0 {
		return nil
	}
	return errors.New(tidy(C.GoString(&c.message[0])))
}

// runError decides whose fault a failed run is. Besides ONNX Runtime's own
// code, inputs that disagree on a size which the model gives one name are the
// caller's fault: kernels report that as a fault of the model. Such inputs are
// not refused before the run, because models exist that use one name for sizes
// that may differ.
func (s *session) runError(c *C.segue_error, inputs []runtime.Tensor) error {
	if c.code == 0 {
		return nil
	}
	message := tidy(C.GoString(&c.message[0]))
	if c.code == codeInvalidArgument {
		return fmt.Errorf("%w: %s", runtime.ErrInvalidArgument, message)
	}
	if clash := s.clash(inputs); clash != "" {
		return fmt.Errorf("%w: %s (%s)", runtime.ErrInvalidArgument, clash, message)
	}
	return fmt.Errorf("run: %s", message)
}

// clash describes two sizes that the model gives one name and that differ, ""
// if there are none.
func (s *session) clash(inputs []runtime.Tensor) string {
	type seen struct {
		input string
		size  int64
	}
	first := map[string]seen{}
	for i, names := range s.symbols {
		for d, name := range names {
			if name == "" {
				continue
			}
			size, input := inputs[i].Shape[d], s.signature.Inputs[i].Name
			if was, ok := first[name]; !ok {
				first[name] = seen{input, size}
			} else if was.size != size {
				return fmt.Sprintf("size %q is %d in input %q and %d in input %q",
					name, was.size, was.input, size, input)
			}
		}
	}
	return ""
}

var (
	// A place in ONNX Runtime's source, with the function's name or signature.
	sourcePlace = regexp.MustCompile(`\S*\b\w+\.(?:cc|cpp|cxx|h|hpp|inc|cu|cuh):\d+ (?:[\w :~<>*&,]*::[\w~]+\([^()]*\)(?: const)? |\w+ )?`)
	nodeFailed  = regexp.MustCompile(`Non-zero status code returned while running (\S+) node\. Name:'[^']*' Status Message: `)
	codePrefix  = regexp.MustCompile(`\[ONNXRuntimeError\] : -?\d+ : \w+ : `)
)

// tidy turns ONNX Runtime's message into one line for people: the operator and
// what it says, without places in its source and names of nodes.
func tidy(message string) string {
	message = nodeFailed.ReplaceAllString(message, "$1: ")
	message = codePrefix.ReplaceAllString(message, "")
	message = sourcePlace.ReplaceAllString(message, "")
	return strings.Join(strings.Fields(message), " ")
}

// tidyOpen also takes the model's own place out of a message.
func tidyOpen(message, path string) string {
	for _, p := range []string{path, resolved(path)} {
		message = strings.ReplaceAll(message, p, "file")
		if dir := filepath.Dir(p); len(dir) > 1 {
			message = strings.ReplaceAll(message, dir+"/", "")
			message = strings.ReplaceAll(message, dir, "its folder")
		}
	}
	return strings.ReplaceAll(tidy(message), "failed:", "failed: ")
}

// resolved returns the path without symbolic links, or as it is.
func resolved(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}
