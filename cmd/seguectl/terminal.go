package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// plainWidth is how wide output is where nobody says.
const plainWidth = 100

// width is how many characters a line of the output may have: what COLUMNS
// says, or the terminal's width.
func (c *cli) width() int {
	if text, ok := c.lookupEnv("COLUMNS"); ok {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return n
		}
	}
	if out, ok := c.stdout.(*os.File); ok && c.redraw {
		if size, err := unix.IoctlGetWinsize(int(out.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return plainWidth
}

// colour reports that output goes to a terminal whose user has not asked for
// none (https://no-color.org).
func (c *cli) colour() bool {
	none, _ := c.lookupEnv("NO_COLOR")
	dumb, _ := c.lookupEnv("TERM")
	return c.redraw && none == "" && dumb != "dumb"
}
