// Package models makes the models that Segue is measured with, where those of
// the quickstart are not what a published figure is about: a tiny network,
// whose run is nearly free so that the gateway's own cost shows, and a
// convolutional one with a large input and a run of about 1.6 ms on one thread,
// and a slow one of about 5.5 ms on an input that is small until it is enlarged.
//
// It promises the same bytes on every machine, from nothing but this code, and
// golden answers that plain loops in double precision computed, not the runtime
// that is being measured. The weights are random: the models know nothing.
//
//	err := models.Write("bin/bench") // segue serve --config file:bin/bench
package models
