// Package report holds what was measured and writes it down: as JSON, as a
// page of Markdown, and as plots in SVG.
//
// It promises that every figure goes with its spread over the rounds, and the
// page with the command, the versions, the machine and what shared it. Plots
// are the same bytes for the same result. It never measures or decides.
//
//	text := report.Markdown(result)
//	plot := report.Plot(result)
package report
