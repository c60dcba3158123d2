package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseWeight reads one weight: finite, not negative, with or without %.
func parseWeight(text string) (float64, error) {
	weight, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	switch {
	case err != nil:
		return 0, errors.New("the weight is not a number")
	case math.IsNaN(weight) || math.IsInf(weight, 0):
		return 0, errors.New("the weight is not finite")
	case weight < 0:
		return 0, errors.New("the weight is negative")
	}
	return weight, nil
}

// number writes a number as people do: 90, 0.5, 33.333.
func number(x float64) string {
	return strconv.FormatFloat(math.Round(x*1000)/1000, 'f', -1, 64)
}

// percent writes a share of 0–1 as 90%, 0.5%, 33.333%.
func percent(share float64) string { return number(100*share) + "%" }

// clock writes a time for people, in UTC and to the second.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
