//go:build !race

package drift

import (
	"fmt"
	"image/color"
	"os"
	"strconv"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plotDelays draws, for each size of windows, how long each way takes to find
// a change; what is never found within a week stands at the upper edge.
func plotDelays(t *testing.T, path string, c change, all []delaySeries) {
	t.Helper()
	colours := [ways]color.Color{color.RGBA{0, 90, 181, 255}, color.RGBA{220, 50, 32, 255}, color.RGBA{120, 120, 120, 255}}
	dashes := [ways][]vg.Length{nil, {vg.Points(6), vg.Points(3)}, {vg.Points(2), vg.Points(2)}}
	plots := make([][]*plot.Plot, 1)
	for _, s := range all {
		p := plot.New()
		p.Title.Text = fmt.Sprintf("%d rows an hour, 10 features", s.rows)
		p.X.Label.Text = c.name
		p.Y.Label.Text = "hours until the alarm (median)"
		p.Y.Scale = plot.LogScale{}
		p.Y.Tick.Marker = plot.ConstantTicks([]plot.Tick{{Value: 1, Label: "1"}, {Value: 3, Label: "3"}, {Value: 10, Label: "10"}, {Value: 24, Label: "24"}, {Value: 72, Label: "72"}, {Value: longest, Label: "never in a week"}})
		p.Y.Min, p.Y.Max = 0.9, longest*1.1
		p.X.Tick.Marker = plot.TickerFunc(func(float64, float64) []plot.Tick {
			var ticks []plot.Tick
			for _, x := range []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1} {
				ticks = append(ticks, plot.Tick{Value: x, Label: strconv.FormatFloat(x, 'g', -1, 64)})
			}
			return ticks
		})
		p.Add(plotter.NewGrid())
		for way := range ways {
			var points plotter.XYs
			for i, m := range s.medians {
				points = append(points, plotter.XY{X: c.sizes[i], Y: float64(min(m[way], longest))})
			}
			line, dots, err := plotter.NewLinePoints(points)
			if err != nil {
				t.Fatal(err)
			}
			line.Color, line.Width, line.Dashes = colours[way], vg.Points(1.5), dashes[way]
			dots.Color, dots.Shape = colours[way], vgdraw.CircleGlyph{}
			p.Add(line, dots)
			p.Legend.Add(wayNames[way], line, dots)
		}
		p.Legend.Top = true
		p.Legend.YOffs = -vg.Points(16)
		p.BackgroundColor = color.White
		plots[0] = append(plots[0], p)
	}
	canvas := vgsvg.New(10*vg.Inch, 4*vg.Inch)
	tiles := vgdraw.Tiles{Rows: 1, Cols: len(all), PadX: vg.Points(12), PadY: vg.Points(4), PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(12)}
	for i, at := range plot.Align(plots, tiles, vgdraw.New(canvas))[0] {
		plots[0][i].Draw(at)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := canvas.WriteTo(f); err != nil {
		t.Fatal(err)
	}
}
