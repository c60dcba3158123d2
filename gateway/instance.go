package gateway

import (
	"context"
	"fmt"

	"github.com/segue-serving/segue/runtime/batch"
)

// Instance is a version in memory as the loader wants it: an executor's
// instance that reports what warming it brought.
type Instance struct{ *batch.Instance }

// Warm runs the model at the batch sizes that it will meet. What the model
// makes of synthetic inputs is returned as warnings; only the end of ctx is an
// error.
func (i Instance) Warm(ctx context.Context, _ int) (warnings []string, err error) {
	report, err := i.Instance.Warm(ctx, nil)
	for _, f := range report.Failures {
		warnings = append(warnings, fmt.Sprintf("warm-up with zeros failed at %s", f))
	}
	return warnings, err
}
