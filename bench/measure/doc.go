// Package measure runs scenarios: it starts the parts, sends the load and
// gathers the figures.
//
// It promises that contenders and phases are measured in turn within every
// round, in an order that moves on from round to round, so that a machine that
// grows slower is slower for all of them; that every answer is checked; and
// that everything it started has ended when it returns.
//
//	result, err := measure.Run(ctx, s, measure.Parts{Gateway: "bin/segue", …})
package measure
