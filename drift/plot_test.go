//go:build !race

package drift

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"strconv"
	"strings"
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
	var keys [ways][]plot.Thumbnailer
	for _, s := range all {
		p := plot.New()
		for _, style := range []*vgdraw.TextStyle{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
			style.Font.Variant = "Sans"
		}
		p.Title.Text = fmt.Sprintf("Hours until the alarm (median)\n%d rows an hour, 10 features", s.rows)
		p.Title.Padding = vg.Points(6)
		p.X.Label.Text = c.name
		p.Y.Scale = plot.LogScale{}
		p.Y.Tick.Marker = plot.ConstantTicks([]plot.Tick{{Value: 1, Label: "1"}, {Value: 3, Label: "3"}, {Value: 10, Label: "10"}, {Value: 24, Label: "24"}, {Value: 72, Label: "72"}, {Value: longest, Label: fmt.Sprintf("> %d", longest)}})
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
			keys[way] = []plot.Thumbnailer{line, dots}
		}
		p.BackgroundColor = color.White
		plots[0] = append(plots[0], p)
	}
	const legend vg.Length = 24 // below the plots
	canvas := vgsvg.New(10*vg.Inch, 4*vg.Inch+legend)
	whole := vgdraw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	tiles := vgdraw.Tiles{Rows: 1, Cols: len(all), PadX: vg.Points(12), PadY: vg.Points(4), PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(12)}
	for i, at := range plot.Align(plots, tiles, vgdraw.Crop(whole, 0, 0, legend, 0))[0] {
		plots[0][i].Draw(at)
	}
	// The same lines mean the same in all plots: one legend, beside no marker.
	third := whole.Size().X / vg.Length(ways)
	for way := range ways {
		key := plot.NewLegend()
		key.TextStyle.Font.Variant = "Sans"
		key.Left, key.ThumbnailWidth = true, 2*key.ThumbnailWidth
		key.Add(wayNames[way], keys[way]...)
		x := vg.Length(way) * third
		key.Draw(vgdraw.Crop(whole, x+third/6, x+third-whole.Size().X, legend/4, legend-whole.Size().Y))
	}
	var drawn bytes.Buffer
	if _, err := canvas.WriteTo(&drawn); err != nil {
		t.Fatal(err)
	}
	// Fonts as wide as the one that the layout was computed with, since that is
	// not on every machine.
	fonts := strings.ReplaceAll(drawn.String(), "font-family:Liberation Sans", "font-family:Liberation Sans,Arial,Helvetica,sans-serif")
	if err := os.WriteFile(path, []byte(fonts), 0o644); err != nil {
		t.Fatal(err)
	}
}
