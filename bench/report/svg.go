package report

import (
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// canvas collects the elements of one drawing. Coordinates are pixels from the
// upper left corner.
type canvas struct {
	width, height float64
	body          strings.Builder
}

// Colours of series, told apart by readers who see few colours too (Okabe and
// Ito), and those of everything else.
const (
	blue       = "#0072B2"
	vermillion = "#D55E00"
	green      = "#009E73"
	grey       = "#777777"
	lightGrey  = "#DDDDDD"
	black      = "#222222"
)

// colour returns the colour of the series at a position.
func colour(i int) string {
	all := [...]string{blue, vermillion, green, "#CC79A7", "#E69F00", "#56B4E9"}
	return all[i%len(all)]
}

type point struct{ x, y float64 }

// px writes a coordinate with one digit, so that the same drawing has the same
// bytes on every machine.
func px(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

func (c *canvas) line(from, to point, colour string, width float64, dashed bool) {
	dash := ""
	if dashed {
		dash = ` stroke-dasharray="5 4"`
	}
	fmt.Fprintf(&c.body, `<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s" stroke-width="%s"%s/>`+"\n",
		px(from.x), px(from.y), px(to.x), px(to.y), colour, px(width), dash)
}

func (c *canvas) rect(corner point, width, height float64, colour string) {
	fmt.Fprintf(&c.body, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"/>`+"\n",
		px(corner.x), px(corner.y), px(width), px(height), colour)
}

func (c *canvas) polyline(points []point, colour string) {
	fmt.Fprintf(&c.body, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"/>`+"\n", path(points), colour)
}

// band fills what lies between two lines over the same places.
func (c *canvas) band(points []point, colour string) {
	fmt.Fprintf(&c.body, `<polygon points="%s" fill="%s" fill-opacity="0.15"/>`+"\n", path(points), colour)
}

func path(points []point) string {
	list := make([]string, len(points))
	for i, p := range points {
		list[i] = px(p.x) + "," + px(p.y)
	}
	return strings.Join(list, " ")
}

// Where a text lies from its point.
const (
	atStart  = "start"
	atMiddle = "middle"
	atEnd    = "end"
)

func (c *canvas) text(at point, anchor string, size float64, colour, text string) {
	fmt.Fprintf(&c.body, `<text x="%s" y="%s" text-anchor="%s" font-size="%s" fill="%s">%s</text>`+"\n",
		px(at.x), px(at.y), anchor, px(size), colour, escape(text))
}

func escape(text string) string {
	var b strings.Builder
	// A strings.Builder never fails to take bytes.
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}

// String returns the drawing on a white ground, so that it can be read on a
// dark page too.
func (c *canvas) String() string {
	w, h := px(c.width), px(c.height)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" font-family="Helvetica, Arial, sans-serif">`+"\n"+
		`<rect width="%s" height="%s" fill="#FFFFFF"/>`+"\n%s</svg>\n", w, h, w, h, w, h, c.body.String())
}
